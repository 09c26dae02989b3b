"""Our answers beside the official code's, within the tolerances that the fixtures' README states.

The command gets a copy of the fixtures without any expected value, so it cannot have looked.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.warm import run_python

ROOT = Path(__file__).parents[2]
EXPECTED = ROOT / "tests" / "fixtures" / "parity"
ANSWERS = ("run_R*.safetensors", "expected.*", "decoded_masks.safetensors", "README.md")


@pytest.fixture(scope="session")
def got(tmp_path_factory):
    inputs, out = tmp_path_factory.mktemp("inputs") / "parity", tmp_path_factory.mktemp("out")
    shutil.copytree(EXPECTED, inputs, ignore=shutil.ignore_patterns(*ANSWERS, "videoglamm"))
    cases = load_file(inputs / "pruner" / "seed0_cases.safetensors")
    given = {
        k: v
        for k, v in cases.items()
        if k.startswith(("pixel_values", "input_ids", "attention_mask"))
    }
    save_file(given, inputs / "pruner" / "seed0_cases.safetensors")
    turns = [
        {"turns": entry["turns"]} for entry in load_json(EXPECTED / "glamm" / "tokenisation.json")
    ]
    (inputs / "glamm" / "tokenisation.json").write_text(json.dumps(turns))
    done = run_python(["-m", "tests.parity", "--fixtures", inputs, "--out", out])
    assert done.returncode == 0, done.stderr
    return out


def load_json(path):
    return json.loads(path.read_text())


def close(tensor, expected, tolerance):
    torch.testing.assert_close(tensor, expected, atol=tolerance, rtol=0)


def test_selections(got):
    ours, official = (
        load_file(folder / "pruner" / "seed0_cases.safetensors") for folder in (got, EXPECTED)
    )
    keys = [k for k in official if k.endswith((".retained_idx", ".features"))]
    assert sorted(ours) == sorted(keys)
    assert len(keys) == 48
    for key in keys:
        close(ours[key], official[key], 0 if key.endswith("_idx") else 1e-4)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("input_ids", 0),
        ("retained_idx", 0),
        ("projected_tokens", 1e-4),
        ("seg_embeddings", 3e-4),
        ("pred_masks", 5e-6),
    ],
)
def test_grounding(got, name, tolerance):
    ours, official = (
        load_file(folder / "glamm" / "run_R18.safetensors") for folder in (got, EXPECTED)
    )
    assert sorted(ours) == sorted(official)
    for image in range(2):
        close(ours[f"{image}.{name}"], official[f"{image}.{name}"], tolerance)


def test_end_to_end_scores(got):
    (ours,), (official,) = (
        load_json(got / "glamm" / "scores.json"),
        load_json(EXPECTED / "glamm" / "index.json")["runs"],
    )
    assert (ours["retain"], ours["dataset"]) == (18, "refcoco|val")
    assert ours["giou"] == pytest.approx(official["giou"], abs=1e-4)
    assert ours["ciou"] == pytest.approx(official["ciou"], abs=1e-4)


def test_tokenisation(got):
    assert load_json(got / "glamm" / "tokenisation.json") == load_json(
        EXPECTED / "glamm" / "tokenisation.json"
    )


def test_decoded_masks(got):
    ours, official = (
        load_file(folder / "refer" / "decoded_masks.safetensors") for folder in (got, EXPECTED)
    )
    assert sorted(ours) == sorted(official)
    assert all(torch.equal(ours[key], official[key]) for key in official)
    # Overlapping polygons of one object are part of the fixture: their pixels count twice.
    assert max(int(mask.max()) for mask in official.values()) == 2


def test_preprocessing(got):
    ours = load_file(got / "preprocess" / "got.safetensors")
    official = load_file(EXPECTED / "preprocess" / "expected.safetensors")
    assert sorted(ours) == sorted(official)
    for key in official:
        close(ours[key], official[key], 0 if key.endswith("resized_strided") else 1e-5)


def test_score_rules(got):
    ours, official = (
        load_json(got / "scores" / "got.json"),
        load_json(EXPECTED / "scores" / "expected.json"),
    )
    assert [(s["set"], s["images"]) for s in ours] == [(s["set"], s["images"]) for s in official]
    for a, b in zip(ours, official, strict=True):
        assert a["giou"] == pytest.approx(b["giou"], abs=1e-5)
        assert a["ciou"] == pytest.approx(b["ciou"], abs=1e-5)


def test_layout(got):
    mapped = load_json(got / "layout" / "mapped.json")
    assert len(mapped) == 968
    assert sum(target is None for target in mapped.values()) == 75
    assert mapped["lm_head.weight"] == ["llama", "lm_head.weight"]
