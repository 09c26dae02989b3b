"""The claims of the stored rows, and the numbers of the page, which are those of the rows."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from litelvlm.analysis.studies.emergence import Config, make_claims, make_tables
from litelvlm.analysis.studies.emergence.store import bundled_files
from litelvlm.training.trainings.design import CONFIRMATORY

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "emergence.md"
CHANGE = ["difference", "difference_low", "difference_high"]


@pytest.fixture(scope="module")
def rows():
    parts = [pd.read_parquet(path) for path in bundled_files()]
    return pd.concat(parts, ignore_index=True).astype({"value": float, "sd": float})


@pytest.fixture(scope="module")
def tables(rows):
    return make_tables(rows, Config())


@pytest.fixture(scope="module")
def claims(rows):
    return {claim.id: claim for claim in make_claims(rows, Config())}


@pytest.fixture(scope="module")
def page():
    return re.sub(r"\s+", " ", PAGE.read_text())


def interval(values, signed=False):
    value, low, high = (f"{v:+.2f}" if signed else f"{v:.2f}" for v in values)
    text = f"{value} [{low}, {high}]"
    return text if signed else re.sub(r"-(0\.00)\b", r"\1", text)


def table_under(text):
    """Cells of the lines of the first table below a piece of the page."""
    found = PAGE.read_text().split(text, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", found, re.MULTILINE).group().splitlines()[2:]
    return [[part.strip() for part in line.strip("|").split("|")] for line in table]


def test_the_stored_rows_support_these_claims_and_no_others(claims):
    assert len(claims) == 123
    assert {id for id, claim in claims.items() if claim.verdict == "supported"} == {
        *("A.sink.rate", "B.reversal.pooling", "base.reversal.C"),
        *("C.reversal.helper-0.3_helper_from-0.25", "C.reversal_true.helper-0.3_helper_from-0.25"),
        *("C.sink.scope-object", "C.sink.sos_loss-1.0", "mediator.cells"),
        *("gain.follows", "gain.follows.cells", "gain.negative"),
    }
    assert claims["sink.made.C"].verdict == "undetermined"
    few = [claim for id, claim in claims.items() if id.startswith("C.") and claim.n < 5]
    assert {claim.verdict for claim in few} == {"undetermined"}
    assert not any(id.startswith(("D.reversal", "base.reversal.D")) for id in claims)


def test_claims_on_the_page_are_those_of_the_rows(claims, page):
    for id in (
        *("base.reversal.C", "base.reversal.B.cls", "sink.made.C", "sink.added"),
        *("together", "together.cells", "mediator", "mediator.cells"),
        *("gain.follows", "gain.follows.cells", "gain.positive"),
    ):
        claim = claims[id]
        assert interval((claim.estimate, claim.low, claim.high)) in page, id
    negative = claims["gain.negative"]
    assert interval((-negative.estimate, -negative.high, -negative.low)) in page
    hidden = claims["sink.causes"]
    assert f"{-hidden.estimate:+.3f} [{-hidden.high:+.3f}, {-hidden.low:+.3f}]" in page
    for effect in CONFIRMATORY:
        claim = claims[effect.name]
        assert interval((claim.estimate, claim.low, claim.high), signed=True) in page, effect
        if effect.stage == "B":
            ends = f"[{claim.low_categories:+.2f}, {claim.high_categories:+.2f}]"
            assert ends in page, effect


def test_changes_of_stage_c_are_those_of_the_rows(tables, claims):
    cells = tables["cells"].set_index(["stage", "cell", "outcome"]).loc["C"]
    lines = table_under("**Bold: the claim is supported.**")
    assert len(lines) == 9
    for _, name, n, *shown in lines:
        cell = name.strip("`")
        assert int(n) == cells.loc[(cell, "sink"), "n"]
        for outcome, text in zip(("reversal", "reversal_true", "sink"), shown, strict=True):
            bold = "**" if claims[f"C.{outcome}.{cell}"].verdict == "supported" else ""
            expected = interval(cells.loc[(cell, outcome), CHANGE], signed=True)
            assert text == f"{bold}{expected}{bold}", (cell, outcome)


def test_links_on_the_page_are_those_of_the_rows(tables):
    names = {"attention on [SOS]": "sink", "index": "reversal_true", "difference": "reversal"}
    names |= {"gain of LiteLVLM": "gain"}
    links = tables["links"].set_index(["first", "second", "trainings", "level"])
    for pair, trainings, *shown in table_under("Correlations with 95 % intervals"):
        first, second = (names.get(word, word) for word in pair.split(" and "))
        for level, text in zip(("within", "between"), shown, strict=True):
            line = links.loc[(first, second, "all", level)]
            assert text.startswith(interval(line[["correlation", "low", "high"]])), (pair, level)
            n = int(line["n"])
            assert f"({n})" in trainings if level == "within" else f"{n} conditions" in text


def test_trainings_on_pictures_are_those_of_the_rows(tables):
    helper = "helper-0.3_helper_from-0.25"
    outcomes = tables["outcomes"].query("stage == 'D'")
    assert outcomes.groupby("cell")["seed"].nunique().to_dict() == {"base": 5, helper: 5}
    assert not outcomes["learned"].any()
    assert (outcomes["reversal"] > 0).all()
    cells = tables["cells"].set_index(["stage", "cell", "outcome"]).loc["D"]
    shown = (
        *("found", "reversal", "reversal_true", "reversal_rest", "reversal_mean"),
        *("share_reversed", "sink"),
    )
    lines = table_under("## What pictures change")
    for outcome, (_, base, own, change) in zip(shown, lines, strict=True):
        for cell, text in (("base", base), (helper, own)):
            assert text == interval(cells.loc[(cell, outcome), ["mean", "low", "high"]]), outcome
        assert change == interval(cells.loc[(helper, outcome), CHANGE], signed=True), outcome


def test_the_model_without_a_helper_is_that_of_the_stored_result():
    result = json.loads((ROOT / "benchmarks" / "results" / "helper_free.json").read_text())
    scores = {
        arm: {(line["method"], line["budget"]): line for line in found["scores"]}
        for arm, found in result["arms"].items()
    }
    methods = {"all": "none", "mask oracle": "mask_oracle", "LiteLVLM": "litelvlm"}
    for name, *shown in table_under("**Can GLaMM read a CLIP without a helper?**"):
        method, budget = re.fullmatch(r"([\w ]+?),? (\d+)", name).groups()
        for arm, text in zip(("with helper", "without helper"), shown, strict=True):
            line = scores[arm][methods.get(method, method), int(budget)]
            expected = f"{line['value']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
            assert text.replace("**", "") == expected, (name, arm)
