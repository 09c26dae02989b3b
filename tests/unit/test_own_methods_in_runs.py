"""Runs with methods of one's own, read where these are not known; and every method in `show -v`."""

import json
import shutil

import pytest
import yaml

from litelvlm.analysis.api import SavedRun
from litelvlm.analysis.cli import main
from litelvlm.analysis.inputs.own_methods import plugin_note, unknown_methods
from litelvlm.figures.files import draw_figure

FILE = "mine/surprise.py"


@pytest.fixture
def own(saved_runs, tmp_path):
    """A sweep whose last method is one that nobody knows here."""
    run = shutil.copytree(saved_runs["sweep"], tmp_path / "sweep-own")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["config"]["methods"][-1]["name"] = "surprise"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    record = json.loads((run / "run.json").read_text())
    record["command"] = f"litelvlm study sweep --plugin .../{FILE} .../other.py --out .../runs"
    (run / "run.json").write_text(json.dumps(record))
    return run


def test_a_run_names_its_unknown_method_and_the_plugin_that_defined_it(own, saved_runs):
    assert unknown_methods(own) == ("surprise",)
    note = plugin_note(own)
    assert "surprise of sweep-own is not known here; add --plugin FILE.py" in note
    assert "made with surprise.py, other.py" in note
    assert not any(map(plugin_note, saved_runs.values()))


def test_explore_names_the_option_instead_of_all_methods(own, tmp_path, capsys):
    assert main(["explore", str(own), "--out", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert "add --plugin FILE.py" in said
    assert "divprune" not in said


def test_a_figure_says_that_a_method_is_unknown(own, caplog):
    draw_figure("accuracy_ciou", own)
    (warned,) = [record for record in caplog.records if "--plugin" in record.message]
    assert "drawn in grey" in warned.message


def test_show_prints_every_method_against_random_tokens(saved_runs, capsys):
    run = SavedRun(saved_runs["sweep"])
    assert main(["show", "-v", str(run.folder)]) == 0
    _, _, said = capsys.readouterr().out.partition("every method against random tokens")
    table = run.table("comparisons")
    lines = table[(table["metric"] == "ciou") & (table["reference"] == "random")]
    assert len(set(lines["method"])) > 1
    for line in lines.to_dict("records"):
        (told,) = [
            words
            for words in map(str.split, said.splitlines())
            if words[:2] == [line["method"], str(line["budget"])]
        ]
        assert told[2] == f"{line['delta']:.3g}"
        assert told[3] == f"[{line['low_categories']:.3g},"
        assert told[-1] == "UNDETERMINED", "eight images"


def test_a_run_of_an_earlier_version_shows_the_interval_that_it_has(own, capsys):
    summary = json.loads((own / "summary.json").read_text())
    table = summary["tables"]["comparisons"]
    names = list(table["dtypes"])
    gone = [names.index(name) for name in names if "categories" in name]
    table["rows"] = [[v for i, v in enumerate(row) if i not in gone] for row in table["rows"]]
    table["dtypes"] = {k: v for k, v in table["dtypes"].items() if "categories" not in k}
    (own / "summary.json").write_text(json.dumps(summary))
    assert main(["show", "-v", str(own)]) == 0
    assert "every method against random tokens" in capsys.readouterr().out
