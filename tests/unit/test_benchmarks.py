"""Benchmarks can be imported, and read their options from the arguments of a function."""

import importlib
import sys
from pathlib import Path

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
