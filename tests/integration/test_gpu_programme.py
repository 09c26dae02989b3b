"""The GPU programme runs whole at miniature size on a processor, and goes on where it stopped."""

import json
import platform
import signal
import sys
import time
import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as metadata_version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from packaging.utils import canonicalize_name

from benchmarks import common
from benchmarks.common import Kept
from benchmarks.gpu import needs, parity, runner
from benchmarks.gpu.__main__ import main
from benchmarks.gpu.checks import judged
from benchmarks.gpu.pack import CODE, kinds_of
from benchmarks.gpu.page import main as page_of
from benchmarks.gpu.page import write_page
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.results import WAYS, prefills
from benchmarks.gpu.runner import run_part
from litelvlm.training.trainings.design import members
from tests.warm import Command


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_each_part_runs_at_miniature_size(part, holding, tmp_path, monkeypatch):
    """In a pack of its own, which has no other file than what the part names."""
    home = holding(*(kind for kind in kinds_of([part], tiny=True) if kind != CODE))
    monkeypatch.setattr(runner, "ROOT", home)
    if part.name != "checks":  # one in a process that begins from nothing is enough
        monkeypatch.setattr(runner, "Popen", Command)
    state = run_part(part, tmp_path, tiny=True)
    record = json.loads((tmp_path / part.name / "part.json").read_text())
    assert state == "done", record["tail"]
    assert record["exit"] == 0
    assert str(tmp_path) not in " ".join(record["command"])
    assert run_part(part, tmp_path, tiny=True) == "kept"
    names, said = section(tmp_path, part.name)
    assert names == {other.name for other in PARTS}
    assert part.asks in said
    table = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    assert len(table) > 2
    assert any(cell.strip(" |")[:1].isdigit() for line in table[2:] for cell in line)
    assert (tmp_path / "prefill.svg").is_file() == (part.name in (*WAYS, "compiled"))
    if part.name == "family":  # the dry run lists the trainings of the real command
        listed = json.loads((tmp_path / "family" / "family.json").read_text())["planned"]
        assert listed == [member.name for member in members(["D"], None)]
        assert len(listed) > 5
        assert not any((tmp_path / "family" / "family").iterdir())


def section(out, name):
    """Names of all sections of the page, and the text of one."""
    parts = [text.partition("\n") for text in write_page(out).read_text().split("\n## ")[1:]]
    return {title for title, _, _ in parts}, {title: text for title, _, text in parts}[name]


def test_the_page_shows_the_numbers_of_the_files(tmp_path):
    """A made-up result of the bench, on a GPU, and a training of the family in the middle."""
    record = {"command": ["python", "bench.py"], "state": "done", "seconds": 61.0, "tiny": False}
    record |= {"python": "3.12.1", "commit": "0123456789abcdef", "clocks_before": ["A GPU, 1, 2"]}
    arms = [("litelvlm", 576, 41.0), ("litelvlm", 192, 16.0), ("none", 576, 40.0)]
    times = [
        {"method": method, "k": k, "component": "llm", "metric": metric}
        | {"value": scale * ms, "q25": scale * ms - 1, "q75": scale * ms + 1, "n_runs": 100}
        for method, k, ms in arms
        for metric, scale in (("wall_ms", 2), ("cuda_ms", 1))
    ]
    ratio = {"component": "llm", "method": "litelvlm", "k": 192, "metric": "cuda_ms"}
    costs = [
        {"method": method, "k": k, "component": "llm", "metric": metric, "value": 2e9}
        for method, k, _ in arms
        for metric in ("activation_bytes", "weight_bytes", "peak_allocated_bytes")
    ]
    ratios = [ratio | {"ratio": 2.5, "low": 2.41, "high": 2.62}]
    budgets = {"192": {"times": times, "ratios": ratios, "costs": costs}}
    machine = {"torch": "2.11.0", "transformers": "5.17.0"}
    folder = tmp_path / "prefill-sdpa"
    for name in ("prefill-sdpa", "family"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.json").write_text(json.dumps(record))
    (folder / "bench.json").write_text(json.dumps({"machine": machine, "budgets": budgets}))
    for name, files in (("one", ("training.jsonl", "done.json")), ("two", ("training.jsonl",))):
        (tmp_path / "family" / "family" / name).mkdir(parents=True)
        for file in files:
            (tmp_path / "family" / "family" / name / file).touch()
    _, said = section(tmp_path, "prefill-sdpa")
    line = "192 | litelvlm | 192 | 16 [15, 17] | 2.50 [2.41, 2.62] | - | - | 2,000 | 2 | 2"
    assert f"| {line} |" in said
    assert "| 192 | none | 576 | 40 [39, 41] | - |" in said
    assert "1 trainings are done and 1 begun" in section(tmp_path, "family")[1]
    assert "Not run." in section(tmp_path, "nf4")[1]
    page = (tmp_path / "page.md").read_text()
    where = "A GPU, Python 3.12.1, torch 2.11.0, transformers 5.17.0, commit 0123456789ab"
    assert f"- {where}: prefill-sdpa\n" in page
    points = [(192, 16.0, 15.0, 17.0), (576, 40.0, 39.0, 41.0)]
    assert list(prefills(tmp_path)) == [("prefill-sdpa", points)]
    assert "visual tokens" in (tmp_path / "prefill.svg").read_text()


def test_the_page_names_what_has_no_result(slow, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert run_part(slow._replace(name="compiled"), out) == "failed"
    assert "failed, " in section(out, "compiled")[1]
    assert "2 measurements are stored to go on behind" in section(out, "compiled")[1]
    assert not (out / "prefill.svg").exists()
    monkeypatch.setattr(sys, "argv", ["page", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit):
        page_of()
    assert "has no part of the programme" in capsys.readouterr().err


def test_parity_refuses_what_the_official_code_did_not_answer():
    plain = {"retained_idx": 0.0, "features": 1e-5}
    rows = parity.judged({"pruner": plain, "glamm": {"pred_masks": 2e-4, "ciou": 0.0}})
    far = {name for name, row in rows.items() if row["largest"] > row["allowed"]}
    assert far == {"glamm: pred_masks"}
    rows = parity.judged({"pruner": plain | {"retained_idx": 1.0}, "glamm": {}})
    assert rows["pruner: retained_idx"]["allowed"] == 0


class Killed(Command):
    """A command that is killed when its first measurement is stored."""

    def __init__(self, command, env=None, **options):
        """Start it."""
        self.folder = Path(env["BENCHMARK_RESULTS"])
        super().__init__(command, env=env, **options)

    def wait(self, timeout=None):
        """Exit status."""
        while not any(path.read_text().count("\n") > 1 for path in self.folder.glob("*.jsonl")):
            assert self.poll() is None, "it ended before anything was stored"
            time.sleep(0.005)
        self.kill()
        return super().wait(timeout)


def holds(result, value):
    """Whether a measurement stands somewhere in a result, whole or among other entries."""
    if isinstance(result, dict):
        within = isinstance(value, dict) and value.items() <= result.items()
        return within or any(holds(part, value) for part in result.values())
    return isinstance(result, list) and any(holds(part, value) for part in result)


@pytest.mark.parametrize("name", ["prefill-sdpa", "full-size", "official-order"])
def test_a_killed_part_goes_on_behind_its_first_measurement(name, tmp_path, monkeypatch):
    (part,) = (part for part in PARTS if part.name == name)
    monkeypatch.setattr(runner, "Popen", Killed)
    assert run_part(part, tmp_path, tiny=True) == "failed"
    record = json.loads((tmp_path / name / "part.json").read_text())
    assert record["exit"] == -signal.SIGKILL
    (path,) = (tmp_path / name).glob("*.kept.jsonl")
    stored = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    monkeypatch.setattr(runner, "Popen", Command)
    assert run_part(part, tmp_path, tiny=True) == "done"
    said = (tmp_path / name / "output.txt").read_text()
    assert f"{path.name}: {len(stored)} measurements are there already" in said
    result = json.loads(path.with_name(path.name.replace("kept.jsonl", "json")).read_text())
    assert holds(result, stored[0][1])
    assert not path.exists()


def test_no_part_begins_again_from_nothing():
    """Each is a script that stores its measurements one by one, or a training with its states."""
    for part in PARTS:
        script = needs.ROOT / part.command.split()[0]
        trains = part.command.startswith("-m litelvlm.training.trainings")
        assert trains or "Kept(" in script.read_text(), part.name


def part_of(command, **options):
    return Part("small", "Does it run?", command, command, **options)


def test_a_failed_part_says_why_and_runs_again(tmp_path):
    fails = part_of("-c 'raise SystemExit(\"no such weights\")'")
    assert run_part(fails, tmp_path) == "failed"
    record = json.loads((tmp_path / "small" / "part.json").read_text())
    assert record["exit"] == 1
    assert "no such weights" in record["tail"]
    assert run_part(fails, tmp_path) == "failed"


def test_a_part_ends_at_its_time_limit(tmp_path):
    slow = part_of("-c 'import time; print(\"begun\", flush=True); time.sleep(600)'", minutes=0.05)
    assert run_part(slow, tmp_path) == "stopped"
    record = json.loads((tmp_path / "small" / "part.json").read_text())
    assert record["state"] == "stopped"
    assert "begun" in record["tail"]


def test_another_command_is_no_stored_answer(tmp_path):
    assert run_part(part_of("-c 'print(1)'"), tmp_path) == "done"
    assert run_part(part_of("-c 'print(1)'"), tmp_path) == "kept"
    assert run_part(part_of("-c 'print(2)'"), tmp_path) == "done"
    assert run_part(part_of("-c 'print(2)'"), tmp_path, again=True) == "done"


def test_without_a_gpu_the_full_size_is_refused(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("benchmarks.gpu.__main__.clocks", list)
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "--tiny" in capsys.readouterr().err


def test_it_says_at_the_start_what_is_not_installed(monkeypatch, capsys, tmp_path):
    """Both files are complete here; then one package each is not there, or too old, or too new."""
    assert needs.lacking() == {}
    there = needs.distribution
    versions = {"pandas": "2.2.3", "transformers": "6.0.0", "captum": None, "timm": None}

    def some(name):
        if name not in versions:
            return there(name)
        if versions[name] is None:
            raise PackageNotFoundError(name)
        return SimpleNamespace(version=versions[name], requires=())

    monkeypatch.setattr(needs, "distribution", some)
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert "pandas>=3.0, which gpu-base.txt needs, is version 2.2.3" in said
    assert "transformers<6,>=5.17, which gpu-base.txt needs, is version 6.0.0" in said
    assert "captum>=0.9, which gpu-requirements.txt needs, is not installed" in said
    assert "timm>=1.0, which gpu-base.txt needs, is not installed" in said
    assert "pip install --no-deps -r benchmarks/gpu-requirements.txt" in said
    assert not (tmp_path / "out").exists()


@pytest.fixture
def hide(monkeypatch):
    """Makes packages look as if they were not installed."""

    def hidden(*names, there=needs.distribution):
        def some(name):
            if name in names:
                raise PackageNotFoundError(name)
            return there(name)

        monkeypatch.setattr(needs, "distribution", some)
        monkeypatch.setattr(runner, "distribution", some)

    return hidden


def test_a_package_of_some_parts_leaves_out_only_these(hide, monkeypatch, capsys):
    hide("bitsandbytes")
    monkeypatch.setattr(sys, "argv", ["gpu", "--list"])
    assert main() == 0
    listed, left_out = capsys.readouterr().out.split("left out: ")
    able = [line.split()[0] for line in listed.splitlines()]
    assert able == [part.name for part in PARTS if part.name not in {"int8", "nf4"}]
    assert left_out.splitlines() == [
        "int8, nf4",
        "  bitsandbytes, which gpu-requirements.txt needs, is not installed",
        "  for these parts: python -m pip install --no-deps bitsandbytes==0.50.2",
    ]
    monkeypatch.setattr(sys, "argv", ["gpu", "--list", "--parts", "checks"])
    assert main() == 0
    assert "left out" not in capsys.readouterr().out


def test_what_is_not_left_out_runs(hide, monkeypatch, capsys, tmp_path):
    hide("bitsandbytes")
    parts = [
        part_of("-c 'print(1)'"),
        part_of("-c 1", needs=["bitsandbytes"])._replace(name="int8"),
    ]
    monkeypatch.setattr("benchmarks.gpu.__main__.PARTS", parts)
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--out", str(tmp_path)])
    assert main() == 0
    assert capsys.readouterr().out.startswith("left out: int8\n")
    found = json.loads((tmp_path / "summary.json").read_text())
    assert list(found["parts"]) == ["small"]
    assert found["packages"]["bitsandbytes"] is None
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--parts", "int8"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "no part can run\nleft out: int8\n" in capsys.readouterr().err


def test_a_package_of_all_parts_refuses_the_programme(hide, monkeypatch, capsys, tmp_path):
    hide("bitsandbytes", "captum")
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr()
    assert "captum>=0.9, which gpu-requirements.txt needs, is not installed" in said.err
    assert "bitsandbytes, which gpu-requirements.txt needs, is not installed" in said.err
    assert "left out" not in said.out
    assert not (tmp_path / "out").exists()


def test_what_another_package_needs_is_named_with_it(monkeypatch):
    there = needs.distribution

    def without(name):
        if name == "wcwidth":
            raise PackageNotFoundError(name)
        if name == "ftfy":
            return SimpleNamespace(version="6.3.1", requires=["wcwidth", "pywin32; os_name=='nt'"])
        return there(name)

    monkeypatch.setattr(needs, "distribution", without)
    monkeypatch.setattr(needs, "CARRIED", needs.ROOT / "no such file")
    monkeypatch.setattr(needs, "read", lambda path: [needs.Requirement("ftfy")])
    assert needs.lacking() == {"wcwidth": "wcwidth, which ftfy needs, is not installed"}


def test_the_two_lists_are_the_packages_of_the_project():
    """Each stands in one of them, with its range where it must be there beforehand."""
    project = tomllib.loads((needs.ROOT / "pyproject.toml").read_text())["project"]
    wanted = {canonicalize_name(r.name): r for r in map(needs.Requirement, project["dependencies"])}
    base, carried = (
        {canonicalize_name(r.name): r for r in needs.read(path)}
        for path in (needs.BASE, needs.CARRIED)
    )
    assert not base.keys() & carried.keys()
    assert wanted.keys() <= base.keys() | carried.keys()
    for name, requirement in wanted.items():
        if name in base:
            assert base[name].specifier == requirement.specifier
        else:
            (pin,) = carried[name].specifier
            assert (pin.operator, requirement.specifier.contains(pin.version)) == ("==", True)


SLOW = """
import os, sys
from pathlib import Path
from benchmarks.common import Kept, store
keys, made, kept = ("one", "two", "three"), [], Kept("slow")
for key in keys:
    kept(key, lambda: made.append(key) or {"is": key, "pair": (1, 2)})
    if key == "two" and not Path(sys.argv[0]).with_name("time").exists():
        os._exit(9)
store("slow", {"made": made, "kept": [kept(key, None) for key in keys]})
"""
"""Three measurements; the process is killed behind the second where there is no time."""


@pytest.fixture
def slow(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "Popen", Command)
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    return part_of(str(script))


def test_a_part_goes_on_behind_the_measurements_that_are_done(slow, tmp_path):
    out = tmp_path / "out"
    assert run_part(slow, out) == "failed"
    assert len((out / "small" / "slow.kept.jsonl").read_text().splitlines()) == 3  # and a head
    # The process was killed while it wrote: the line that is cut off does not count.
    with (out / "small" / "slow.kept.jsonl").open("a") as file:
        file.write('["three", {"is"')
    (tmp_path / "time").touch()
    assert run_part(slow, out) == "done"
    found = json.loads((out / "small" / "slow.json").read_text())
    assert found["made"] == ["three"]
    assert found["kept"] == [{"is": key, "pair": [1, 2]} for key in ("one", "two", "three")]
    assert not (out / "small" / "slow.kept.jsonl").exists()


def test_measurements_of_another_command_or_code_are_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench.py", "--device", "cuda"])
    Kept("bench")("one", lambda: 1)
    again = Kept("bench")
    assert (again("one", lambda: 2), again.n_read, again.n_made) == (1, 1, 0)
    monkeypatch.setattr(sys, "argv", ["bench.py", "--device", "cpu"])
    other = Kept("bench")
    assert (other("one", lambda: 2), other.n_made) == (2, 1)
    monkeypatch.setattr(common, "sources_digest", lambda: "other code")
    assert Kept("bench")("one", lambda: 3) == 3
    assert len((tmp_path / "bench.kept.jsonl").read_text().splitlines()) == 2


def test_again_measures_anew_what_was_kept(slow, tmp_path):
    out = tmp_path / "out"
    assert run_part(slow, out) == "failed"
    (tmp_path / "time").touch()
    assert run_part(slow, out, again=True) == "done"
    made = json.loads((out / "small" / "slow.json").read_text())["made"]
    assert made == ["one", "two", "three"]


def test_a_summary_names_states_and_versions(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("benchmarks.gpu.__main__.PARTS", [part_of("-c 'print(1)'")])
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--out", str(tmp_path)])
    assert main() == 0
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["parts"]["small"]["state"] == "done"
    assert found["packages"]["torch"] == metadata_version("torch")
    assert found["python"] == platform.python_version()
    assert main() == 0
    again = json.loads((tmp_path / "summary.json").read_text())
    assert again["parts"]["small"]["state"] == "kept"


def test_a_part_keeps_the_commit_and_the_gpu_that_it_ran_on(monkeypatch, tmp_path):
    first, second = part_of("-c 'print(1)'"), part_of("-c 'print(2)'")._replace(name="other")
    for part, commit, gpu in ((first, "a" * 40, "GPU A"), (second, "b" * 40, "GPU B")):
        state = {"commit": commit, "clean": True}
        monkeypatch.setattr(runner, "code_state", lambda state=state: state)
        monkeypatch.setattr(runner, "clocks", lambda gpu=gpu: [f"{gpu}, 1, 2"])
        path = runner.write_summary(tmp_path, {part.name: run_part(part, tmp_path)})
    found = json.loads(path.read_text())
    assert found["commit"] == "b" * 40
    assert {name: (part["state"], part["commit"][0], part["gpu"])
            for name, part in found["parts"].items()} == {
        "small": ("done", "a", "GPU A"), "other": ("done", "b", "GPU B")
    }  # fmt: skip


def test_the_check_of_methods_fails_where_a_device_is_wrong():
    def judge(cpu, first, second):
        return judged([[(kept, np.array(logits)) for kept, logits in (cpu, first, second)]])

    plain = ([[1, 2]], [0.5, -1.0])
    assert judge(plain, plain, plain) == {
        "images": 1,
        "same_tokens": 1,
        "same_twice": 1,
        "largest_logit_difference": 0.0,
    }
    assert judge(plain, plain, ([[1, 3]], [0.5, -1.0]))["failed"] == "two runs differ"
    assert judge(plain, plain, ([[1, 2]], [0.5, -1.1]))["failed"] == "two runs differ"
    far = ([[1, 2]], [0.5, -1.5])
    assert judge(plain, far, far)["failed"] == "logits differ by 0.5"
    lost = ([[1, 2]], [0.5, float("nan")])
    assert "logits differ by nan" in judge(plain, lost, lost)["failed"]
    other = ([[1, 3]], [0.5, -9.0])
    found = judge(plain, other, other)
    assert (found["same_tokens"], found["largest_logit_difference"]) == (0, None)
    assert "failed" not in found
