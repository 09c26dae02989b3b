"""Tables of clips: the plan, what is refused, the lines, and one run of a tiny VideoGLaMM."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from litelvlm.analysis.cli import main
from litelvlm.analysis.reproduce.clips import MATCHED, OWN, clip_lines
from litelvlm.analysis.reproduce.targets import TARGETS, parse_splits
from litelvlm.analysis.studies.published_video import UNIPIXEL, VIDEO
from tests.parity.videoglamm_folder import write_videoglamm_folder
from tests.unit import clip_tree

RECORDING = Path(__file__).parents[1] / "fixtures/parity/videoglamm/seed0"


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    return clip_tree.davis(tmp_path_factory.mktemp("ref-davis"))


@pytest.fixture(scope="module")
def videoglamm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videoglamm")
    write_videoglamm_folder(RECORDING, json.loads((RECORDING / "index.json").read_text()), folder)
    return folder


def test_the_plan_lists_what_is_published(davis, videoglamm, tmp_path, capsys):
    own = ["--model", str(videoglamm), "--data", str(davis), "--device", "cpu"]
    assert main(["reproduce", "video", "--plan", *own, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "nothing; the files are yours" in said
    assert "Published, not measured here:" in said
    assert "LiteLVLM      81 60.8 67.6 64.2" in said
    assert "30 clips (whole splits), about 15 passes" in said
    assert "no time is known" in said


def test_what_only_images_have_is_refused(tmp_path, capsys):
    for option in ("card", "cache"):
        assert main(["reproduce", "video", f"--{option}", str(tmp_path / "x")]) == 2
        assert f"--{option} goes with tables of images" in capsys.readouterr().err
    assert main(["reproduce", "video", "--splits", "refcoco/val"]) == 2
    assert "unknown split 'refcoco/val'" in capsys.readouterr().err
    assert parse_splits(["revos/valid"], TARGETS["unipixel"]) == (("revos", "valid"),)


def planted(matched):
    """Rows of 25 clips: the unpruned model at 0.6, LiteLVLM with 81 of 576 tokens at 0.5."""
    rows = [
        {
            "image_id": clip,
            "sent_id": clip,
            "seed": 0,
            "protocol": "single",
            "method": method,
            "budget": budget,
            "matched_n": 1.0,
        }
        | dict.fromkeys((*OWN, *MATCHED), score)
        for method, budget, score in (("none", 5760, 0.6), ("litelvlm", 810, 0.5))
        for clip in range(25)
    ]
    return pd.DataFrame(rows).drop(columns=[] if matched else [*MATCHED, "matched_n"])


def split(rows):
    return SimpleNamespace(
        place=("ref-davis17", "valid"),
        name="ref-davis17/valid",
        run=SimpleNamespace(rows=rows),
        n_tokens=5760,
        comparable=True,
    )


def test_published_numbers_stand_beside_the_protocol_that_they_are_of():
    lines = clip_lines(split(planted(matched=True)), VIDEO, MATCHED)
    by_key = {(line.quantity, line.method, line.tokens): line for line in lines}
    found = by_key["J&F, objects matched", "litelvlm", 81]
    assert (found.published, found.label, found.budget) == (66.1, "LiteLVLM", 810)
    assert found.difference == pytest.approx(50 - 66.1)
    assert (found.low, found.high) == pytest.approx((50 - 66.1, 50 - 66.1))
    assert (found.verdict, found.n_images) == ("differs", 25)
    assert by_key["F, objects matched", "none", 576].published == 73.3
    own = by_key["J&F", "none", 576]
    assert (own.verdict, own.measured) == ("no published number", pytest.approx(60))
    missing = [line for line in lines if line.verdict == "not measured"]
    assert {(line.label, line.tokens) for line in missing} == {
        ("VisPruner", 196), ("LiteLVLM", 196), ("VisPruner", 81),
    }  # fmt: skip


def test_unipixel_is_compared_by_each_expression_s_own_object():
    lines = clip_lines(split(planted(matched=False)), UNIPIXEL)
    (compared,) = [line for line in lines if line.published == line.published]
    assert (compared.quantity, compared.method, compared.published) == ("J&F", "none", 74.2)
    assert compared.verdict == "differs"
