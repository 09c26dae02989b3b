"""What LiteLVLM gains across planted trainings: the link is found, its absence too."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from litelvlm.analysis.studies.emergence.claims import interpret, make_claims
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.links import gains_table
from litelvlm.analysis.studies.emergence.outcomes import outcome_table
from litelvlm.analysis.studies.emergence.tables import make_tables
from litelvlm.training.trainings.design import members

CONFIG = Config()
BLOCK = [member for member in members(("B",)) if member.seed < 2]
LEFT_OUT = {
    "not measured with a reader": 3,
    "did not learn to find categories": 1,
    "reader does not find objects": 2,
}


def line(measure, value, text="", layer=-2, budget=np.nan):
    found = {"measure": measure, "text": text, "layer": layer, "head": -1, "category": ""}
    return found | {"value": value, "sd": 0.1, "n": 50, "budget": budget}


def trained(member, index, gain, found=0.95, unpruned=0.8, read=True, value=None):
    """Rows of one training with a planted reversal index and planted gains."""
    rows = [
        line("found", found, "template", 0),
        line("log lift", 0.0, "queries", 0),
        line("reversal", index, "true"),
        line("reversal", 0.0, "absent"),
    ]
    if read:
        rows += [line("iou", 0.2, "none", budget=0.0), line("iou", unpruned, "all", budget=1.0)]
        for budget in (0.5, 0.25, 0.125):
            # Gains of single budgets differ; their mean is the planted one.
            shift = {0.5: 0.1, 0.25: 0.0, 0.125: -0.1}[budget]
            rules = {"lowest": 0.3 + gain + shift, "highest": 0.3 - gain}
            rules |= {"random": 0.3, "oracle": 0.7}
            if value is not None:
                rules |= {"value": 0.3 + value - shift, "value_foreign": 0.3 - value}
                rules |= {"grid": 0.3 + value / 2, "lowest_foreign": 0.3 + gain}
            for rule, iou in rules.items():
                rows.append(line("iou", iou, rule, budget=budget))
                rows.append(line("kept", budget, rule, budget=budget))
    tags = {"training": member.name, "stage": member.stage, "cell": member.cell}
    tags |= {"seed": member.seed, "step": 500, "final": True}
    return [tags | row | asdict(member.factors) for row in rows]


def family(gain, rng, chosen=BLOCK, **changes):
    """Trainings with drawn indices, half of them below 0, and the gain that follows."""
    rows = []
    for number, member in enumerate(chosen):
        index = (0.1 + 0.5 * rng.random()) * (-1) ** number
        rows += trained(member, index, gain(index), **changes)
    return rows


def claims_of(rows):
    return {claim.id: claim for claim in make_claims(pd.DataFrame(rows), CONFIG)}


def test_a_sign_that_predicts_the_gain_is_found():
    rng = np.random.default_rng(0)
    claims = claims_of(family(lambda index: 0.2 * index + rng.normal(0, 0.02), rng))
    verdicts = {id: claims[id].verdict for id in claims if id.startswith("gain.")}
    assert verdicts == {
        "gain.follows": "supported",
        "gain.follows.cells": "supported",
        "gain.positive": "supported",
        "gain.negative": "supported",
    }
    assert claims["gain.follows"].n == 32
    assert claims["gain.follows"].estimate > 0.8
    assert (claims["gain.positive"].n, claims["gain.negative"].n) == (16, 16)
    assert claims["gain.negative"].estimate < 0
    text = interpret(list(claims.values()), {})
    assert "gains more over random tokens where the reversal is stronger" in text
    assert "where it is negative it loses to them on average" in text


def test_a_sign_that_predicts_nothing_supports_nothing():
    rng = np.random.default_rng(1)
    claims = claims_of(family(lambda index: rng.normal(0, 0.02), rng))
    assert claims["gain.follows"].verdict == "undetermined"
    # The mean gain is shown to be smaller than the margin.
    assert claims["gain.positive"].verdict == "not supported"
    assert claims["gain.negative"].verdict == "not supported"
    # The other way round is no support either.
    turned = claims_of(family(lambda index: -0.2 * index, rng))
    assert {turned[id].verdict for id in turned if id.startswith("gain.")} == {"not supported"}
    assert "gains no more over random tokens" in interpret(list(turned.values()), {})


def test_what_the_value_path_gains_is_asked_where_it_was_measured():
    rng = np.random.default_rng(4)
    planted = family(lambda index: rng.normal(0.02, 0.005), rng, BLOCK[:20], value=0.1)
    rows = planted + family(lambda index: 0.02, rng, BLOCK[20:])
    claims = claims_of(rows)
    gain, lowest = claims["gain.value"], claims["value.lowest"]
    assert (gain.verdict, gain.n) == ("supported", 20)
    assert gain.estimate == pytest.approx(0.1)
    assert (lowest.verdict, lowest.n) == ("supported", 20)
    assert lowest.estimate == pytest.approx(0.08, abs=0.005)
    assert lowest.excluded["not measured by these rules"] == 12
    assert claims["value.grid"].estimate == pytest.approx(0.05)
    assert claims["value.text"].estimate == pytest.approx(0.2)
    assert claims["lowest.text"].estimate == pytest.approx(0.0, abs=1e-9)
    assert claims["lowest.text"].verdict == "not supported"
    assert "Over trainings of 16 conditions" in lowest.statement
    assert (
        "highest value-path similarity beat those of LiteLVLM (20 trainings, exploratory)"
        in interpret(list(claims.values()), {})
    )
    table = make_tables(pd.DataFrame(rows), CONFIG)["gains"]
    assert table["gain_value"].isna().sum() == 12
    turned = claims_of(family(lambda index: 0.3, rng, BLOCK, value=0.1))
    assert turned["value.lowest"].verdict == "not supported"
    assert "gain.value" not in claims_of(family(lambda index: 0.3, rng, BLOCK))


def test_a_difference_between_stages_makes_no_link():
    rng = np.random.default_rng(2)
    # Both are high in one stage and low in the other, and unrelated within each.
    rows = []
    for member in (*BLOCK, *(m for m in members(("C",)) if m.seed == 1)):
        height = 0.4 if member.stage == "B" else -0.4
        rows += trained(member, height + rng.normal(0, 0.05), height + rng.normal(0, 0.05))
    claims = claims_of(rows)
    table = make_tables(pd.DataFrame(rows), CONFIG)["gains"]
    assert np.corrcoef(table["index"], table["gain"])[0, 1] > 0.9
    assert claims["gain.follows"].verdict == "undetermined"
    assert abs(claims["gain.follows"].estimate) < 0.4


def test_what_does_not_count_is_counted():
    rng = np.random.default_rng(3)
    changes = [{"read": False}] * 3 + [{"found": 0.5}] + [{"unpruned": 0.29}] * 2
    rows = family(lambda index: 0.2 * index, rng, BLOCK[6:])
    for member, change in zip(BLOCK, changes, strict=False):
        rows += trained(member, 0.3, -5.0, **change)
    claims = claims_of(rows)
    for id in ("gain.follows", "gain.positive", "gain.negative"):
        assert claims[id].excluded == LEFT_OUT
        assert claims[id].verdict == "supported"
    # Six conditions have one training left, which says nothing of what seeds do.
    assert claims["gain.follows"].n == 20
    assert (claims["gain.follows.cells"].n, claims["gain.follows.cells"].unit) == (16, "cells")
    assert claims["gain.positive"].n + claims["gain.negative"].n == 26
    assert claims["gain.positive"].estimate > 0
    table = make_tables(pd.DataFrame(rows), CONFIG)["gains"]
    assert len(table) == 29
    assert (~table["works"]).sum() == 2


def test_the_training_that_two_stages_share_counts_once():
    rng = np.random.default_rng(4)
    base = next(m for m in members(("C",)) if (m.cell, m.seed) == ("base", 0))
    assert any(member.factors == base.factors and member.seed == 0 for member in BLOCK)
    rows = family(lambda index: 0.2 * index, rng)
    claims = claims_of([*rows, *trained(base, 0.5, 0.1)])
    assert claims["gain.follows"].n == 32
    assert claims["gain.follows"].excluded == {}


def test_trainings_without_readers_have_no_claims_about_gains():
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(family(lambda index: index, rng, read=False))
    for old in (rows, rows.drop(columns="budget")):
        claims = make_claims(old, CONFIG)
        assert claims
        assert not [claim for claim in claims if claim.id.startswith("gain.")]
        assert "gains" not in make_tables(old, CONFIG)
        assert "fewer than 5 trainings have a reader that works" in interpret(claims, {})
    few = claims_of(family(lambda index: index, rng, BLOCK[:4]))
    assert "gain.follows" not in few
    assert few["gain.positive"].verdict == "undetermined"


def test_a_line_of_the_table_by_hand():
    rows = pd.DataFrame(trained(BLOCK[0], 0.4, 0.05))
    (found,) = gains_table(rows, outcome_table(rows, 0.8), 0.1).to_dict("records")
    assert found["training"] == BLOCK[0].name
    assert found["pooling"] == BLOCK[0].factors.pooling
    assert (found["index"], found["without"], found["unpruned"]) == (0.4, 0.2, 0.8)
    assert found["lowest_0.5"] == pytest.approx(0.45)
    assert found["random_0.125"] == pytest.approx(0.3)
    assert found["gain_0.5"] == pytest.approx(0.15)
    assert found["gain_0.125"] == pytest.approx(-0.05)
    assert found["gain"] == pytest.approx(0.05)
    assert found["gain_highest"] == pytest.approx(-0.05)
    assert found["kept"] == pytest.approx(found["kept_random"])
    assert found["works"]
    assert found["learned"]
