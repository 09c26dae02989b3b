"""Benchmarks can be imported, and read their options from the arguments of a function."""

import importlib
import sys
from pathlib import Path

import numpy as np
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


def test_miniatures_are_judged_by_planted_differences():
    module = importlib.import_module("miniature_trainings")
    planted = dict(zip(module.PLAN["methods"], (0.4, 0.42, 0.5, 0.1, 0.3, 0.41, 0.6), strict=True))
    rng, stored = np.random.default_rng(0), {}
    for seed in module.SEEDS:
        noise = {method: 0.01 * rng.normal() for method in planted}
        lines = [
            {"method": method, "budget": budget, "value": value + noise[method] + budget / 1000}
            for method, value in planted.items()
            for budget in module.PLAN["budgets"]
        ]
        one = {"contrasts": module.differences(lines)}
        assert one["contrasts"]["lowest.random"] == pytest.approx(0.1, abs=0.05)
        stored[str(seed)] = {split: dict.fromkeys(module.PROTOCOLS, one) for split in module.SPLITS}
    found = module.claims(stored, "official")
    assert found["testA"]["mixed.grid"]["estimate"] == pytest.approx(0.09, abs=0.02)
    assert found["testB"]["lowest.grid"]["verdict"] != "supported"
    assert {"lowest.random", "lowest.highest", "mixed.grid"} <= set(found["confirmed"])
    few = {seed: stored[seed] for seed in list(stored)[:3]}
    assert not module.claims(few, "single")["confirmed"]


def test_a_contrast_is_confirmed_where_every_split_supports_it():
    module = importlib.import_module("mechanism_trainings")
    yes, no = {"verdict": "supported"}, {"verdict": "undetermined"}
    found = {"testA": {"a": yes, "b": yes, "c": no}, "testB": {"a": yes, "b": no, "c": no}}
    assert module.confirmed(found) == ["a"]
