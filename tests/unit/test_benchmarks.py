"""Benchmarks can be imported, and read their options from the arguments of a function."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(FOLDER))
common = importlib.import_module("common")
# Named as a module of the standard library, and as the programme that others test.
PARTS = {"common", "fault_jobs", "vlm_proof"}  # scripts import these
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


def test_every_script_and_every_stored_result_has_a_line():
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    scripts = {path.stem for path in FOLDER.glob("*.py")} - PARTS
    untold = [name for name in sorted(scripts) if f"{name}.py" not in told]
    assert untold == ["gpu"]
    assert "python -m benchmarks.gpu" in told
    stored = [path.name for path in sorted((FOLDER / "results").iterdir())]
    runs = [name for name in stored if not any(name.startswith(script) for script in scripts)]
    assert [
        name for name in runs if f"`{name}`" not in told and f"`results/{name}/`" not in told
    ] == []


def test_trainings_of_one_seed_count_once_over_seeds():
    module = importlib.import_module("mechanism_trainings")
    rng, ids = np.random.default_rng(0), [one["id"] for one in module.PLAN["contrasts"]]
    stored = {}
    for seed in range(2, 8):
        found = dict(zip(ids, 0.5 + 0.3 * rng.normal(size=len(ids)), strict=True))
        stored |= {
            f"{condition}-{seed}": {split: {"contrasts": found} for split in module.SPLITS}
            for condition in ("plain", "helper")
        }
    each = module.values(stored, "testA")
    over, seeds = (
        module.claims({"testA": one, "testB": one}) for one in (each, module.seed_means(each))
    )
    for name in ids:
        first, second = over["testA"][name], seeds["testA"][name]
        assert (first["n"], second["n"]) == (12, 6)
        assert first["estimate"] == pytest.approx(second["estimate"])
        # Twelve values of which six are repeated look more certain than six.
        assert first["high"] - first["low"] < second["high"] - second["low"]
        assert (name in seeds["confirmed"]) == (second["verdict"] == "supported")
    assert set(seeds["confirmed"]) < set(over["confirmed"])


def test_few_remade_trainings_are_told_without_what_needs_more(tmp_path):
    module = importlib.import_module("remade_trainings")
    none, one, two = (module.over(pd.Series(values)) for values in ([], [0.2], [0.2, -0.1]))
    assert none == {"above 0": 0, "trainings": 0}
    assert one == {"above 0": 1, "trainings": 1, "mean": 0.2}
    assert two["mean"] == pytest.approx(0.05)
    assert two["low"] < -0.1 < 0.2 < two["high"]
    with pytest.raises(FileNotFoundError, match="has no training; make some"):
        module.measure(tmp_path)


def test_remade_trainings_are_told_with_those_that_are_stored(tmp_path, monkeypatch):
    module = importlib.import_module("remade_trainings")
    stored = {"trainings": [{"training": "a", "index": 0.1}, {"training": "b", "index": 0.2}]}
    stored |= {"left out": ["c", "d", "e"]}
    (tmp_path / "remade_trainings.json").write_text(json.dumps(stored))
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    here = pd.DataFrame([{"training": "b", "index": 0.3}, {"training": "e", "index": 0.4}])
    lines, left_out = module.with_stored(here, ["d"])
    assert dict(zip(lines["training"], lines["index"], strict=True)) == {
        "a": 0.1,
        "b": 0.3,
        "e": 0.4,
    }
    assert left_out == ["c", "d"]


def test_what_is_stored_of_remade_trainings_follows_from_its_lines():
    module = importlib.import_module("remade_trainings")
    stored = json.loads((module.RESULTS / "remade_trainings.json").read_text())
    found = module.told(pd.DataFrame(stored["trainings"]), stored["left out"])
    for group in ("over trainings", "mean pooling or helper", "class token, no helper"):
        for name, ends in found[group].items():
            assert stored[group][name] == pytest.approx(ends)
    assert len(stored["conditions"]) == len(found["conditions"])
    assert stored["moved by rounding"] == pytest.approx(found["moved by rounding"])


def stored_miniatures(module, contrasts):
    """What is stored where a training has the same contrasts in all splits and protocols."""
    return {
        str(seed): {
            split: {name: {"contrasts": found} for name in module.PROTOCOLS}
            for split in module.SPLITS
        }
        for seed, found in zip(module.SEEDS, contrasts, strict=True)
    }


def test_miniatures_are_judged_by_planted_differences():
    module = importlib.import_module("miniature_trainings")
    planted = dict(zip(module.PLAN["methods"], (0.4, 0.42, 0.5, 0.1, 0.3, 0.41, 0.6), strict=True))
    rng, contrasts = np.random.default_rng(0), []
    for _ in module.SEEDS:
        noise = {method: 0.01 * rng.normal() for method in planted}
        lines = [
            {"method": method, "budget": budget, "value": value + noise[method] + budget / 1000}
            for method, value in planted.items()
            for budget in module.PLAN["budgets"]
        ]
        contrasts.append(module.differences(lines))
        assert contrasts[-1]["lowest.random"] == pytest.approx(0.1, abs=0.05)
    stored = stored_miniatures(module, contrasts)
    found = module.claims(stored, "official")
    assert found["testA"]["mixed.grid"]["estimate"] == pytest.approx(0.09, abs=0.02)
    assert found["testB"]["lowest.grid"]["verdict"] != "supported"
    assert {"lowest.random", "lowest.highest", "mixed.grid"} <= set(found["confirmed"])
    few = {seed: stored[seed] for seed in list(stored)[:3]}
    assert not module.claims(few, "single")["confirmed"]


def test_a_contrast_is_confirmed_where_every_split_supports_it():
    module = importlib.import_module("mechanism_trainings")
    numbers = dict.fromkeys(module.NUMBERS, 0.5)

    def claim(id, verdict):
        return SimpleNamespace(**numbers | {"id": id, "verdict": verdict})

    split = {"a": "supported", "b": "supported", "c": "undetermined"}
    other = {"a": "supported", "b": "undetermined", "c": "undetermined"}
    made = {
        name: [claim(*one) for one in verdicts.items()]
        for name, verdicts in {"testA": split, "testB": other}.items()
    }
    assert module.told(made)["confirmed"] == ["a"]


def test_an_effect_within_the_margin_is_no_support():
    module = importlib.import_module("miniature_trainings")
    tiny = np.linspace(0.009, 0.011, len(module.SEEDS))  # the margin is 0.02
    ids = [entry["id"] for entry in module.PLAN["contrasts"]]
    stored = stored_miniatures(module, [dict.fromkeys(ids, value) for value in tiny])
    found = module.claims(stored, "single")
    assert found["testA"]["value.grid"]["low"] > 0
    assert {one["verdict"] for one in found["testA"].values()} == {"not supported"}
    assert found["confirmed"] == []
