"""The command line without a model.

Help, names, runs on disk, and what is refused before any work.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from planted import PlantedModel, planted_data

from litelvlm.analysis import cli
from litelvlm.analysis.api import read_record, read_summary
from litelvlm.analysis.cli import main
from litelvlm.analysis.cli.actions import study as study_action
from litelvlm.analysis.cli.actions.study import configure
from litelvlm.analysis.cli.options import Common
from litelvlm.analysis.cli.verbs.study import StudyVerb
from litelvlm.analysis.runs.formatting import number
from litelvlm.analysis.studies import BY_NAME, STUDIES
from litelvlm.analysis.studies.confirmatory import confirmatory
from tests.warm import run_python


@pytest.fixture
def picture(tmp_path):
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.new("RGB", (8, 8)).save(path)
    return str(path)


def parse(verb, *arguments):
    import tyro

    return tyro.cli(cli.VERBS[verb], args=list(arguments))


def refusal(capsys, *arguments):
    """The one line a refusal prints."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself_with_examples(capsys, verb):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    text = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "Examples:" in text
    assert f"litelvlm {verb}" in text


def test_help_is_fast_because_it_loads_nothing_heavy():
    heavy = "{'torch', 'transformers', 'pandas', 'matplotlib', 'scipy'}"
    start = "import sys; from litelvlm.analysis.cli import main; main(['--help'])"
    code = f"{start}; sys.exit(len({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"  {verb} " in done.stdout for verb in cli.VERBS)


def test_no_verb_is_a_usage_error(capsys):
    assert main([]) == 2
    assert "usage: litelvlm" in capsys.readouterr().err


def test_unknown_names_suggest_near_ones(capsys, tmp_path):
    assert "did you mean 'figure'" in refusal(capsys, "figur")
    assert "did you mean 'reversal'" in refusal(capsys, "study", "reversl")
    assert "did you mean 'methods'" in refusal(capsys, "ls", "method")
    assert "did you mean 'retention'" in refusal(
        capsys, "figure", "retension", "--from", str(tmp_path)
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.png", "the red circle"], "no such picture: nowhere.png"),
        (["PICTURE"], "an expression is missing"),
        (["FOLDER", "a circle", "--out", "a.png"], "must be a folder of its own for the masks"),
        (["FOLDER", "a circle", "--clip-frames", "0"], "--clip-frames 0 is too small"),
        (
            ["FOLDER", "a circle", "--pruner", "random", "--budget", "3", "--compare"],
            "--compare shows one picture",
        ),
        (["PICTURE", "a circle", "--compare"], "--compare needs a --pruner and a --budget"),
        (["PICTURE", "a circle", "--out", "/proc/mask.png"], "/proc does not accept files"),
        (["PICTURE", "a circle", "  "], "an expression is empty"),
        (["PICTURE", "a circle", "--pruner", "random", "--budget", "0"], "budget 0"),
        (["PICTURE", "a circle", "--pruner", "random"], "needs a --budget"),
        (["PICTURE", "a circle", "--budget", "3"], "needs a --pruner"),
        (["PICTURE", "a circle", "--out", "mask.jpg"], "must end in .png"),
        (["PICTURE", "a circle", "--out", "PICTURE/mask.png"], "is a file; choose another place"),
        (
            ["PICTURE", "a circle", "--pruner", "litelvm", "--budget", "3"],
            "did you mean 'litelvlm'",
        ),
        (
            ["PICTURE", "a circle", "--pruner", "litelvlm(order=rastr)", "--budget", "3"],
            "did you mean 'raster'",
        ),
        (
            ["PICTURE", "a circle", "--pruner", "mask_oracle", "--budget", "3"],
            "reads the true mask",
        ),
        (["PICTURE", "a circle", "--pruner", "box_oracle", "--budget", "3"], "reads the true mask"),
    ],
)
def test_segment_refuses_before_it_loads_a_model(capsys, picture, arguments, reason):
    given = [a.replace("PICTURE", picture) for a in arguments]
    given = [a.replace("FOLDER", str(Path(picture).parent)) for a in given]
    assert reason in refusal(capsys, "segment", *given)


@pytest.mark.parametrize(
    "arguments",
    [["segment"], ["demo", "--port"], ["demo", "--prot", "1"], ["bench", "--n-texts", "1", "b"]],
)
def test_errors_of_usage_are_told_once_in_the_words_of_the_parser(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert said.err.count(f"litelvlm {arguments[0]} --help") == 1


def test_a_folder_is_no_place_for_a_mask(capsys, picture, tmp_path):
    (tmp_path / "mask.png").mkdir()
    assert "it is a folder" in refusal(
        capsys, "segment", picture, "x", "--out", str(tmp_path / "mask.png")
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name a study"),
        (
            ["sink", "--budgets", "48"],
            "no chosen study (sink) has the option --budgets; leave it out, or add reversal",
        ),
        (
            ["reversal", "sink", "--methods", "random"],
            "no chosen study (reversal, sink) has the option --methods; leave it out, or add sweep",
        ),
        (["sweep", "--budgets", "48", "--methods", "litelvm"], "did you mean 'litelvlm'"),
        (["sink", "--limit", "0"], "limit: "),
        (["sink", "--seed", "-1"], "seed: "),
        (["sink", "--shard", "3/2"], "shard '3/2' is not of the form i/n"),
        (["sink", "--out", "PICTURE"], "is a file"),
        (["sink", "--report", "PICTURE"], "is a file"),
    ],
)
def test_study_refuses_before_it_loads_a_model(capsys, picture, arguments, reason):
    assert reason in refusal(capsys, "study", *(a.replace("PICTURE", picture) for a in arguments))


def test_study_all_gives_each_study_the_options_it_has():
    study = parse("study", "all", "--budgets", "48", "16", "--limit", "3", "--seed", "2")
    assert study.chosen() == tuple(name for name in STUDIES if name not in BY_NAME)
    assert parse("study", "all", *BY_NAME).chosen() == STUDIES
    assert configure(study, "sweep").budgets == (48, 16)
    sink = configure(study, "sink")
    assert (sink.limit, sink.seed) == (3, 2)


def test_a_study_of_clips_has_a_bundled_model_where_the_command_names_none():
    study = parse("study", "all", "--split", "testA")
    read = study.as_read("video")
    assert (read.model, read.data, read.split) == ("embedded-video", "embedded-moving", "testA")
    read = study.as_read("sweep")
    assert (read.model, read.data) == ("embedded", "embedded")
    for kept in (["--attn", "eager"], ["--dtype", "float32"], ["--device", "cpu"]):
        assert "video" in parse("study", "all", *kept).chosen()
    for own in (["--data", "embedded-fresh"], ["--model", "vlm:embedded"], ["--cache", "kept"]):
        assert "video" not in parse("study", "all", *own).chosen()
    read = parse("study", "video", "--options", "window=none").as_read("video")
    assert (read.model, read.data) == ("embedded-video", "embedded-moving")
    read = parse("study", "video", "--model", "VideoGLaMM").as_read("video")
    assert (read.model, read.data) == ("VideoGLaMM", "embedded-moving")
    read = parse("study", "video", "--data", "MeViS").as_read("video")
    assert (read.model, read.data) == ("embedded-video", "MeViS")
    # What is named is taken, also where it is what most studies take by themselves.
    named = parse("study", "video", "--model", "embedded", "--data", "embedded")
    read = named.as_read("video")
    assert (read.model, read.data) == ("embedded", "embedded")
    assert "video" not in parse("study", "all", "--model", "embedded").chosen()


def test_a_model_that_a_study_cannot_take_is_refused_by_name(capsys, tmp_path):
    said = refusal(capsys, "study", "video", "--model", "embedded", "--out", str(tmp_path))
    assert "study video needs a VideoGLaMM, and embedded (Glamm) is not one" in said
    assert "video takes 'embedded-video'" in said
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("names", [("all",), ("reversal", "sweep")])
def test_an_option_that_one_of_the_chosen_studies_has_is_taken(names):
    study = StudyVerb(names=names, methods=("random",))
    configs = {name: configure(study, name) for name in study.chosen()}
    assert [method.name for method in configs["sweep"].methods] == ["random"]
    assert "methods" not in type(configs["reversal"]).model_fields


@pytest.fixture
def settings(monkeypatch):
    """Determinism as it was before, whatever a test sets."""
    import torch

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("settings")
def test_a_study_is_deterministic_before_its_model_is_loaded_and_says_so(monkeypatch, tmp_path):
    import torch

    from litelvlm.analysis.runs.origin.determinism import determinism_flags

    seen = {}

    def load(verb):
        seen.update(determinism_flags(), drawn=torch.rand(1).item())
        return PlantedModel()

    monkeypatch.setattr(study_action, "studied_of", load)
    monkeypatch.setattr(study_action, "data_of", lambda verb: planted_data(2))
    assert main(["study", "reversal", "--seed", "3", "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.glob("reversal-*")
    flags = read_record(folder).determinism
    assert (flags["deterministic_algorithms"], flags["cudnn_benchmark"]) == ("True", "False")
    assert seen.pop("drawn") == torch.rand(1, generator=torch.Generator().manual_seed(3)).item()
    assert seen == flags


@pytest.mark.usefixtures("settings")
def test_studies_of_one_command_share_a_model_and_the_data(monkeypatch, tmp_path):
    loaded = []
    monkeypatch.setattr(
        study_action, "studied_of", lambda verb: loaded.append(verb) or PlantedModel()
    )
    monkeypatch.setattr(
        study_action, "data_of", lambda verb: loaded.append(verb) or planted_data(2)
    )
    assert main(["study", "reversal", "sink", "--out", str(tmp_path)]) == 0
    assert len(loaded) == 2


def test_studies_run_in_the_order_of_the_table_and_once():
    assert StudyVerb(names=("sweep", "reversal", "sweep")).chosen() == ("reversal", "sweep")


def test_show_prints_verdicts_and_json(capsys, saved_runs):
    folder = str(saved_runs["reversal"])
    assert main(["show", folder]) == 0
    short = capsys.readouterr().out
    assert short.splitlines()[-1] == f"Details: litelvlm show -v {folder}"
    assert main(["show", "-v", folder]) == 0
    text = capsys.readouterr().out
    summary = read_summary(folder)
    assert all(
        claim.statement in text and claim.verdict.upper() in text for claim in summary.claims
    )
    assert "n = 16 samples from 8 images" in text
    assert main(["show", folder, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["record"]["study"] == "reversal"
    assert [claim["id"] for claim in found["summary"]["claims"]] == [
        claim.id for claim in summary.claims
    ]


def test_show_adjusts_the_confirmatory_hypotheses_of_several_runs_together(capsys, saved_runs):
    folders = [saved_runs["reversal"], saved_runs["sink"]]
    assert main(["show", "-v", *map(str, folders)]) == 0
    table = confirmatory(
        claim for folder in folders for claim in read_summary(folder).claims
    ).set_index("id")
    runs, _, family = capsys.readouterr().out.partition("confirmatory hypotheses")
    assert all(f"{folder}: done" in runs for folder in folders)
    assert "two-sided unless the claim has one side" in family
    assert "Holm" in family
    for id, line in table[table["verdict"] != "not tested"].iterrows():
        adjusted = (
            f"adjusted p {number(line.p_holm)}" if line.p_holm == line.p_holm else "no p-value"
        )
        assert (
            f"  {id}  {line.verdict.upper()} (alone: {line.alone}), {adjusted}: {line.statement}\n"
            in family
        )
    assert f"not tested: {', '.join(table.index[table['verdict'] == 'not tested'])}\n" in family


def test_show_says_why_two_runs_of_one_hypothesis_are_not_adjusted(capsys, saved_runs, tmp_path):
    import shutil

    again = shutil.copytree(saved_runs["sink"], tmp_path / "again")
    assert main(["show", "-v", str(saved_runs["sink"]), str(again)]) == 0
    assert "not adjusted: H4 occurs twice" in capsys.readouterr().out
    assert main(["show", str(saved_runs["sink"]), str(again), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["record"]["study"] for run in found] == ["sink", "sink"]
    # H4 has no margin: nan in Python, null in JSON.
    assert found[0]["summary"]["claims"][0]["margin"] is None
    assert "name a run folder" in refusal(capsys, "show")


def test_a_folder_that_is_no_run_is_refused(capsys, tmp_path):
    for verb in (["show"], ["report"], ["figure", "all", "--from"]):
        assert "has no run.json" in refusal(capsys, *verb, str(tmp_path))


def test_a_half_written_run_folder_is_told_from_a_finished_one(capsys, saved_runs, tmp_path):
    import shutil

    folder = shutil.copytree(saved_runs["sink"], tmp_path / "run")
    (folder / "summary.json").unlink()
    assert "has no summary.json" in refusal(capsys, "show", str(folder))
    (folder / "run.json").write_text((folder / "run.json").read_text()[:50])
    assert "Invalid JSON" in refusal(capsys, "show", str(folder))


def test_figure_and_report_write_what_they_print(capsys, saved_runs, tmp_path):
    run = str(saved_runs["sink"])
    assert main(["figure", "sink_grid", "--from", run, "--out", str(tmp_path / "figures")]) == 0
    paths = capsys.readouterr().out.split()
    assert [p.rpartition("/")[2] for p in paths] == [
        "sink_grid.png",
        "sink_grid.svg",
        "sink_grid.pdf",
    ]
    assert main(["report", run, "--out", str(tmp_path / "report")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report" / "index.html")
    assert (tmp_path / "report" / "index.html").is_file()


def test_partial_runs_are_drawn_only_when_asked(capsys, saved_runs, tmp_path):
    import shutil

    folder = shutil.copytree(saved_runs["sink"], tmp_path / "run")
    text = (folder / "summary.json").read_text().replace('"partial": false', '"partial": true')
    (folder / "summary.json").write_text(text)
    drawing = ["figure", "sink_layers", "--from", str(folder), "--out", str(tmp_path / "out")]
    assert "is incomplete" in refusal(capsys, *drawing)
    assert main([*drawing, "--partial"]) == 0


@dataclass(frozen=True, kw_only=True)
class Failing(Common):
    error: BaseException

    def run(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("budget 0\nis too small"), 2, "litelvlm: budget 0 is too small\n"),
        (FileNotFoundError("no such picture"), 2, "litelvlm: no such picture\n"),
        (PermissionError(13, "Permission denied", "out"), 2, "litelvlm: Permission denied: out\n"),
        (
            OSError(28, "No space left on device", "rows"),
            1,
            "litelvlm: No space left on device: rows; what was finished is kept; make room "
            "and run the same command again\n",
        ),
        (RuntimeError("no sample succeeded"), 1, "litelvlm: no sample succeeded\n"),
    ],
)
def test_errors_become_one_line_and_an_exit_code(capsys, error, code, message):
    assert cli.guarded(Failing(error=error)) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("pruner", "message"),
    [
        ("litelvlm:pper", "unknown litelvlm preset 'pper'; did you mean 'paper'?"),
        ("reverse(of=fastv)", "reverse cannot take of=FastV"),
    ],
)
def test_a_refused_method_is_told_in_its_own_words(capsys, picture, pruner, message):
    error = refusal(capsys, "segment", str(picture), "a ball", "--pruner", pruner, "--budget", "8")
    assert error.startswith(f"litelvlm: {message}")


def test_a_refused_entry_of_a_list_is_told_once(capsys):
    error = refusal(capsys, "evaluate", "--methods", "litelvlm(similarity=cosin)", "--budgets", "8")
    assert error == (
        "litelvlm: methods.0: unknown similarity 'cosin'; "
        "did you mean 'cosine'? Allowed: cosine, dot\n"
    )


def test_an_interrupt_says_that_nothing_is_lost(capsys):
    assert cli.guarded(Failing(error=KeyboardInterrupt())) == 130
    assert "finished parts are kept" in capsys.readouterr().err


def test_python_m_analysis_takes_a_study_by_its_name():
    done = run_python(["-m", "litelvlm.analysis", "sink", "--limit", "0"])
    assert done.returncode == 2
    assert done.stderr.startswith("litelvlm: limit: ")


def test_an_option_given_twice_is_refused_and_not_half_forgotten(capsys, tmp_path):
    fields = ("--set", "sweep.seeds=2", "--set", "sweep.chunk_size=2")
    said = refusal(capsys, "study", "sweep", *fields, "--out", str(tmp_path))
    assert "--set is given more than once" in said
    assert list(tmp_path.iterdir()) == []
