"""Benchmarks can be imported, and read their options from the arguments of a function."""

import importlib
import json
import sys
from pathlib import Path
from typing import Literal

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(FOLDER))
common = importlib.import_module("common")
# Named as a module of the standard library, and as the programme that others test.
NAMES = sorted({path.stem for path in FOLDER.glob("*.py")} - {"statistics", "gpu"})


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_says_what_it_does(name, monkeypatch, capsys):
    module = importlib.import_module(name)
    assert Path(module.__file__).parent == FOLDER
    if not hasattr(module, "measure"):
        return
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        common.options(module.measure)
    assert module.__doc__.splitlines()[0] in capsys.readouterr().out


def example(
    what: Literal["sweep", "demo"],
    out: Path,
    model: str = "embedded",
    device: str | None = None,
    budgets: tuple[int, ...] = (48, 16),
    add: bool = False,
    minutes: float = 2,
):
    return {"given": [what, str(out), model, device, list(budgets), add, minutes]}


def ran(monkeypatch, tmp_path, *words):
    """What a run of the example stores, by the name of its file."""
    monkeypatch.setattr(sys, "argv", [str(FOLDER / "example.py"), *words])
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    common.run(example)
    return {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}


def test_arguments_are_options_and_others_than_the_defaults_name_the_result(monkeypatch, tmp_path):
    words = ["sweep", "--out", "x"]
    stored = ran(monkeypatch, tmp_path, *words)["example_sweep.json"]
    assert stored["given"] == ["sweep", "x", "embedded", None, [48, 16], False, 2]
    assert stored["command"] == "python benchmarks/example.py sweep --out x"
    assert {"date", "commit", "clean", "machine"} < set(stored)
    words += ["--model", "a/b-7b", "--device", "cpu", "--budgets", "8", "9", "--add"]
    stored = ran(monkeypatch, tmp_path, *words)["example_sweep_b-7b_cpu.json"]
    assert stored["given"] == ["sweep", "x", "a/b-7b", "cpu", [8, 9], True, 2]


@pytest.mark.parametrize("words", [["sweep"], ["else", "--out", "x"], ["demo", "--minutes", "x"]])
def test_options_that_are_wrong_or_missing_are_refused(words, monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        ran(monkeypatch, tmp_path, *words)
    assert list(tmp_path.iterdir()) == []


def test_rounds_end_when_the_time_is_over_but_one_is_made():
    assert list(common.within(1, 3)) == [0, 1, 2]
    assert list(common.within(0, 3)) == [0]
