"""The emergence study on planted trainings: effects found, nulls kept, known answers."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from litelvlm.analysis.api import Estimate
from litelvlm.analysis.inputs.labels import label_tokens
from litelvlm.analysis.runs.messages.reasons import undetermined_reason
from litelvlm.analysis.runs.over_trainings import Evidence, training_claim
from litelvlm.analysis.signals.text_attention import effective_rank
from litelvlm.analysis.stats.crossed_trainings import crossed_trainings
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.stats.trainings import t_p_value
from litelvlm.analysis.studies.emergence import outcomes
from litelvlm.analysis.studies.emergence.claims import interpret, make_claims
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.effects import (
    complete_blocks,
    effects_table,
    interactions_table,
)
from litelvlm.analysis.studies.emergence.measure import reversal_rows
from litelvlm.analysis.studies.emergence.outcomes import outcome_table, trajectory_table
from litelvlm.analysis.studies.emergence.scenes import CategoryTexts, Referent
from litelvlm.analysis.studies.emergence.tables import make_tables
from litelvlm.training.trainings.design import members

CONFIG = Config()


def value(measure, number, text="", layer=0, head=-1, category="", sd=0.3, n=50):
    return {
        "measure": measure,
        "text": text,
        "layer": layer,
        "head": head,
        "category": category,
        "value": number,
        "sd": sd,
        "n": n,
    }


def measured(member, sink, reversal, no_sos=None, found=0.95, rng=None, more_sos=None):
    """Rows of one training with a planted sink and a planted difference of reversal."""
    rng = rng or np.random.default_rng(member.seed)
    rows = []
    for step in (0, member.factors.steps):
        final = step > 0
        size = 1.0 if final else 0.0
        values = [
            value("found", found if final else 0.5, "template"),
            value("constancy", 0.4, "template"),
        ]
        for kind in ("queries", "captions", "uninformative"):
            for layer in range(2):
                values.append(value("log lift", size * sink, kind, layer))
                values.append(value("lift", np.exp(size * sink), kind, layer))
                values.append(value("value ratio", 1.0, kind, layer))
        if member.factors.image != "bag":
            base = 0.1
            true = base + size * reversal
            hidden = base + size * (reversal if no_sos is None else no_sos)
            for text, number in (
                ("true", true),
                ("absent", base),
                ("rest", size * reversal),
                ("rest absent", 0.0),
                ("mean", base),
                ("no sos", hidden),
                ("no sos absent", base),
                ("more sos", base + size * (reversal if more_sos is None else more_sos)),
                ("more sos absent", base),
            ):
                values.append(value("reversal", number, text, -2))
            values.append(value("alignment", 0.2, layer=-2))
            if final:
                for category in ("dog", "cat", "car", "bus"):
                    shift = rng.normal(0, 0.2)
                    values.append(value("reversal", true + shift, "true", -2, category=category))
                    values.append(value("reversal", base, "absent", -2, category=category))
        tags = {"training": member.name, "stage": member.stage, "cell": member.cell}
        tags |= {"seed": member.seed, "step": step, "final": final}
        rows += [tags | row | asdict(member.factors) for row in values]
    return rows


def family(sink=lambda m, rng: 0.0, reversal=lambda m, rng: 0.3, no_sos=None, stages=("A", "B")):
    rng = np.random.default_rng(0)
    rows = []
    for member in members(stages):
        drawn = reversal(member, rng)
        rows += measured(
            member, sink(member, rng), drawn, None if no_sos is None else no_sos(drawn)
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def planted():
    """Uninformative captions make a sink; captions of one object make a reversal."""
    return family(
        sink=lambda m, rng: 0.8 * (m.factors.uninformative > 0) + rng.normal(0, 0.2),
        reversal=lambda m, rng: 0.2 + 0.4 * (m.factors.scope == "object") + rng.normal(0, 0.1),
        no_sos=lambda drawn: drawn,
    )


def test_planted_effects_are_found_and_the_others_are_not(planted):
    claims = {claim.id: claim for claim in make_claims(planted, CONFIG)}
    assert claims["A.sink.uninformative"].verdict == "supported"
    assert claims["B.reversal.scope"].verdict == "supported"
    assert claims["A.sink.uninformative"].estimate == pytest.approx(0.8, abs=0.15)
    assert claims["B.reversal.scope"].estimate == pytest.approx(0.4, abs=0.08)
    others = [id for id in claims if id.count(".") == 2 and id[0] in "AB"]
    assert len(others) == 10
    silent = set(others) - {"A.sink.uninformative", "B.reversal.scope"}
    assert all(claims[id].verdict != "supported" for id in silent)
    assert claims["base.reversal.B.cls"].verdict == "supported"
    assert claims["base.reversal.B.mean"].verdict == "supported"
    assert claims["base.reversal.B.cls"].n == 32
    assert claims["sink.causes"].verdict == "not supported"
    assert claims["sink.causes"].estimate == pytest.approx(0.0)
    assert claims["sink.added"].verdict == "not supported"
    assert claims["together"].verdict == "undetermined"
    assert claims["A.sink.uninformative"].n == 64


def test_a_planted_joint_effect_is_found_and_the_others_are_not():
    rng = np.random.default_rng(5)
    lines = [
        {"stage": member.stage, "cell": member.cell, "seed": member.seed}
        | asdict(member.factors)
        | {
            "sink": 0.5 * (member.factors.filler > 0)
            + 0.4 * ((member.factors.rate > 2e-3) == (member.factors.text_depth > 4))
            + 0.1 * rng.standard_normal(),
            "reversal": float("nan"),
        }
        for member in members(("A",))
    ]
    joint = interactions_table(pd.DataFrame(lines)).set_index(["first", "second"])
    assert len(joint) == 10
    assert set(joint["n"]) == {64}
    planted = joint.loc[("rate", "text_depth")]
    assert planted["low"] < 0.4 < planted["high"]
    assert planted["q"] < 0.01
    others = joint.drop(index=("rate", "text_depth"))
    assert others["effect"].abs().max() < 0.1
    assert others["q"].min() > 0.05
    assert interactions_table(pd.DataFrame(lines[:15])).empty  # no complete block


def test_a_family_without_effects_supports_nothing():
    rows = family(
        sink=lambda m, rng: rng.normal(0, 0.2), reversal=lambda m, rng: rng.normal(0, 0.2)
    )
    claims = make_claims(rows, CONFIG)
    assert len(claims) == 18
    assert [claim.id for claim in claims if claim.verdict == "supported"] == []


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sink_that_makes_the_reversal_is_seen_whatever_its_sign(sign):
    rows = family(
        sink=lambda m, rng: 1.0 + rng.normal(0, 0.2),
        reversal=lambda m, rng: sign * (0.3 + rng.normal(0, 0.05)),
        no_sos=lambda drawn: 0.3 * drawn,
        stages=("B",),
    )
    claims = {claim.id: claim for claim in make_claims(rows, CONFIG)}
    assert claims["sink.causes"].verdict == "supported"
    assert claims["base.sink.B"].verdict == "supported"
    assert claims["sink.causes"].estimate == pytest.approx(0.21, abs=0.02)
    assert "so the sink has a part in it" in interpret(list(claims.values()), {})
    assert "More attention on [SOS] does not strengthen it." in interpret(list(claims.values()), {})


def made_sinks(change, sink=2.0, found=0.95):
    """The base of stage C and the same with a sink made in training, ten seeds each."""
    rows, rng = [], np.random.default_rng(4)
    for member in members(("C",)):
        if member.cell in ("base", "sos_loss-1.0"):
            made = member.factors.sos_loss > 0
            shift = change + rng.normal(0, 0.02) if made else 0.0
            number, own = (sink, found) if made else (0.0, 0.95)
            rows += measured(member, number, 0.1 * member.seed + shift, found=own, more_sos=9.0)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (0.2, "supported", "have a stronger reversal that follows the text."),
        (-0.2, "not supported", "Towers trained to have a sink have no stronger reversal."),
    ],
)
def test_what_a_sink_made_in_training_does_is_paired_by_seed(change, verdict, words):
    claims = make_claims(made_sinks(change), CONFIG)
    by_id = {claim.id: claim for claim in claims}
    made = by_id["sink.made.C"]
    assert (made.verdict, made.n) == (verdict, 10)
    assert made.estimate == pytest.approx(change, abs=0.02)
    assert words in interpret(claims, {})
    # Sinks made on purpose say nothing about those that come by themselves.
    assert by_id["sink.added"].excluded == {"made a sink on purpose": 10}
    assert by_id["sink.added"].n == 10
    assert by_id["sink.added"].verdict == "supported"
    interval = "95% t interval over 10 trainings and 4 categories"
    assert made.method == f"{interval}; 2 looks, so p must be at most 0.0294 (Pocock)"


def test_a_made_sink_is_judged_over_categories_too():
    """The same change in every training, but only in half of the categories, stays open."""
    rows = made_sinks(0.0)
    uneven = (
        (rows["category"].isin(["dog", "cat"])) & (rows["text"] == "true") & (rows["sos_loss"] > 0)
    )
    rows.loc[uneven, "value"] += 0.4
    (made,) = [c for c in make_claims(rows, CONFIG) if c.id == "sink.made.C"]
    assert made.estimate == pytest.approx(0.2, abs=0.02)
    assert made.verdict == "undetermined"
    assert made.low < 0 < made.high


def test_towers_without_the_sink_that_was_asked_for_do_not_count():
    by_id = {claim.id: claim for claim in make_claims(made_sinks(0.2, sink=0.01), CONFIG)}
    assert "sink.made.C" not in by_id
    rows = made_sinks(0.2)
    blind = (rows["cell"] != "base") & (rows["seed"] == 2) & (rows["measure"] == "found")
    rows.loc[blind, "value"] = 0.5
    (made,) = [c for c in make_claims(rows, CONFIG) if c.id == "sink.made.C"]
    assert made.n == 9
    assert made.excluded == {"did not learn to find categories": 1}


def test_the_interval_of_the_base_is_over_trainings_and_categories():
    rows = pd.DataFrame(
        [
            row
            for member in members(("C",))
            if member.cell == "base"
            for row in measured(member, 0.0, 0.3)
        ]
    )
    claim = {c.id: c for c in make_claims(rows, CONFIG)}["base.reversal.C"]
    interval = "95% t interval over 10 trainings and 4 categories"
    assert claim.method == f"{interval}; 2 looks, so p must be at most 0.0294 (Pocock)"
    by_seed = [
        outcomes.category_table(part)["true"] - outcomes.category_table(part)["absent"]
        for _, part in rows[rows["final"]].groupby("training")
    ]
    expected = crossed_trainings(np.array(by_seed)).estimate()
    assert (claim.estimate, claim.low) == pytest.approx((expected.value, expected.low))
    # A category with too few referents in one training is left out.
    rare = (rows["category"] == "dog") & (rows["training"] == "C-base-s1")
    rows.loc[rare, "n"] = 2
    fewer = {c.id: c for c in make_claims(rows, CONFIG)}["base.reversal.C"]
    assert fewer.method.startswith("95% t interval over 10 trainings and 3 categories")


def test_the_strongest_head_tells_whether_it_moves_anything():
    member = members(("A",))[0]
    rows = measured(member, 0.0, 0.0)
    tags = {name: rows[-1][name] for name in rows[-1] if name not in value("", 0)}
    for head, (lift, ratio) in enumerate([(1.0, 0.9), (6.0, 0.2)]):
        for measure, number in (("lift", lift), ("value ratio", ratio)):
            rows.append(tags | value(measure, number, "queries", 1, head))
    line = outcome_table(pd.DataFrame(rows), 0.8).iloc[0]
    assert (line["largest_head"], line["largest_head_value"]) == (6.0, 0.2)
    rows.append(tags | value("lift", 3.5, "queries", 1))
    rows.append(tags | value("lift", 9.0, "uninformative", 0))
    line = outcome_table(pd.DataFrame(rows), 0.8).iloc[0]
    assert (line["largest_layer"], line["largest_layer_uninformative"]) == (3.5, 9.0)


def test_trainings_that_did_not_learn_do_not_count_in_claims_about_reversal():
    rng = np.random.default_rng(1)
    chosen = members(("B",))[:16]
    rows = [
        row
        for i, m in enumerate(chosen)
        for row in measured(m, 0.0, 0.5 if i % 2 else -9.0, found=0.9 if i % 2 else 0.5, rng=rng)
    ]
    claims = {claim.id: claim for claim in make_claims(pd.DataFrame(rows), CONFIG)}
    own = [claims[f"base.reversal.B.{pooling}"] for pooling in ("cls", "mean")]
    # Each training adds noise of its own to single categories.
    assert np.mean([claim.estimate for claim in own]) == pytest.approx(0.5, abs=1e-4)
    assert [claim.estimate for claim in own] == pytest.approx([0.5, 0.5], abs=0.03)
    assert [claim.excluded for claim in own] == [{"did not learn to find categories": 4}] * 2
    # Half a block has more of some conditions than of others.
    part = pd.DataFrame([row for row in rows if row["cell"] != "categories"])
    assert not [claim for claim in make_claims(part, CONFIG) if claim.id.startswith("base.")]


def test_only_whole_blocks_count():
    rows = family(sink=lambda m, rng: rng.normal())
    table = outcome_table(rows, CONFIG.gate)
    assert complete_blocks(table, "A") == [0, 1, 2, 3]
    part = table[~((table["stage"] == "A") & (table["seed"] == 2) & (table["cell"] == "rate"))]
    assert complete_blocks(part, "A") == [0, 1, 3]
    effects = effects_table(part)
    assert set(effects.loc[effects["stage"] == "A", "n"]) == {48}
    assert set(effects.loc[effects["stage"] == "B", "n"]) == {64}
    # One that is not measured yet counts among those that were settled: it takes nothing away.
    alone = effects_table(table[table["stage"] == "A"])
    settled = alone[alone["confirmatory"]]
    assert len(settled) == 5
    assert (settled["p_holm"] >= np.minimum(1, settled["p"] * 6)).sum() == 5


def test_differences_from_the_base_are_paired_by_seed():
    rows = []
    for member in members(("C",)):
        if member.cell in ("base", "helper-1.0"):
            shift = 0.25 if member.cell == "helper-1.0" else 0.0
            rows += measured(member, 0.0, 10.0 * member.seed + shift)
    cells = make_tables(pd.DataFrame(rows), CONFIG)["cells"]
    line = cells[(cells["cell"] == "helper-1.0") & (cells["outcome"] == "reversal")].iloc[0]
    assert line["difference"] == pytest.approx(0.25)
    assert line["difference_high"] - line["difference_low"] < 1e-6
    assert line["high"] - line["low"] > 10
    assert line["n"] == 5


def test_a_training_that_two_stages_share_counts_once_where_trainings_are_pooled():
    rng = np.random.default_rng(0)
    block = [member for member in members(("B",)) if member.seed == 0]
    base = next(m for m in members(("C",)) if (m.cell, m.seed) == ("base", 0))
    shared = next(member for member in block if member.factors == base.factors)
    numbers = {member.name: rng.normal(0, 0.3, 2) for member in block}
    numbers[base.name] = numbers[shared.name]
    rows = [r for m in (*block, base) for r in measured(m, *numbers[m.name], no_sos=0.0)]
    claims = {claim.id: claim for claim in make_claims(pd.DataFrame(rows), CONFIG)}
    assert (claims["together.cells"].n, claims["sink.causes"].n) == (16, 16)
    other = next(m for m in members(("C",)) if (m.cell, m.seed) == ("base", 4))
    more = pd.DataFrame([*rows, *measured(other, 0.1, 0.2, no_sos=0.0)])
    claims = {c.id: c for c in make_claims(more, CONFIG)}
    # The fifth seed of the base joins the condition that both stages have.
    assert (claims["together.cells"].n, claims["sink.causes"].n) == (16, 17)


@pytest.mark.parametrize(
    ("low", "high", "p", "two_sided", "n", "expected"),
    [
        (0.1, 0.3, 0.01, False, 5, "supported"),
        (0.1, 0.3, 0.01, False, 4, "undetermined"),
        (0.1, 0.3, 0.20, False, 9, "undetermined"),
        (-0.3, -0.1, 0.01, False, 9, "not supported"),
        (-0.3, -0.1, 0.01, True, 9, "supported"),
        (-0.02, 0.03, 0.60, True, 9, "not supported"),
        (-0.2, 0.3, 0.60, True, 9, "undetermined"),
        (np.nan, np.nan, 0.01, True, 9, "undetermined"),
    ],
)
def test_verdicts_of_trainings(low, high, p, two_sided, n, expected):
    estimate = Estimate((low + high) / 2, low, high, n, n, "")
    side = "either" if two_sided else "greater"
    claim = training_claim("x", "X.", Evidence(estimate, p, 0.05), "0", side)
    assert claim.verdict == expected
    assert claim.sample == f"{n} trainings"


def test_each_further_look_asks_for_a_smaller_p_value():
    estimate = Estimate(0.2, 0.01, 0.4, 10, 10, "t")
    verdicts = [
        training_claim("x", "X.", Evidence(estimate, p), "0", looks=looks).verdict
        for p, looks in ((0.04, 1), (0.04, 2), (0.029, 2), (0.029, 3), (0.022, 3), (0.018, 4))
    ]
    assert verdicts == [
        *("supported", "undetermined", "supported"),
        *("undetermined", "supported", "supported"),
    ]
    below = Estimate(-0.2, -0.4, -0.01, 10, 10, "t")
    claim = training_claim("x", "X.", Evidence(below, 0.04), "0", looks=2)
    assert claim.verdict == "undetermined"
    claim = training_claim("x", "X.", Evidence(estimate, 0.04), "0", looks=2)
    assert "10 trainings with p = 0.04 are not enough" in undetermined_reason(claim)


def test_what_conditions_share_is_no_link_of_trainings():
    """Captions of one object lower the sink and raise the reversal; seeds link nothing."""
    rng = np.random.default_rng(2)
    rows = family(
        sink=lambda m, rng_: -1.0 * (m.factors.scope == "object") + rng.normal(0, 0.1),
        reversal=lambda m, rng_: 0.5 * (m.factors.scope == "object") + rng.normal(0, 0.1),
        stages=("B",),
    )
    claims = {claim.id: claim for claim in make_claims(rows, CONFIG)}
    apart, means = claims["together"], claims["together.cells"]
    assert (means.verdict, means.unit, means.n) == ("not supported", "cells", 16)
    assert means.estimate < -0.9
    assert (apart.verdict, apart.unit, apart.n) == ("undetermined", "trainings", 64)
    assert abs(apart.estimate) < 0.3
    links = make_tables(rows, CONFIG)["links"].set_index(["second", "trainings", "level"])
    assert links.loc[("reversal", "all", "stages"), "correlation"] < -0.8
    assert links.loc[("reversal", "class token, no helper", "between"), "n"] == 8
    # A condition with a single training says nothing of what seeds do.
    fewer = rows[(rows["cell"] != "scope") | (rows["seed"] == 0)]
    claims = {claim.id: claim for claim in make_claims(fewer, CONFIG)}
    assert claims["together"].n == 60


def test_a_changed_condition_needs_five_trainings_for_a_verdict():
    shifts = {"base": 0.0, "image_depth-8": -0.9, "helper-0.3_helper_from-0.25": -0.6}
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        [
            row
            for member in members(("C",))
            if member.cell in shifts
            for row in measured(member, 0.0, shifts[member.cell] + rng.normal(0, 0.05))
        ]
    )
    claims = {claim.id: claim for claim in make_claims(rows, CONFIG)}
    few, more = claims["C.reversal.image_depth-8"], claims["C.reversal.helper-0.3_helper_from-0.25"]
    assert (few.verdict, few.n) == ("undetermined", 3)
    assert few.high < 0
    assert "3 trainings" in undetermined_reason(few)
    assert (more.verdict, more.n) == ("supported", 5)
    assert "helper 0.3 instead of 0.0 and helper from 0.25 instead of 0.0" in more.statement
    assert more.low_categories <= more.low < more.high <= more.high_categories
    own = [claim for id, claim in claims.items() if id.startswith("C.")]
    assert len(own) == 6
    tested = [t_p_value(values) for values in by_hand(rows)]
    assert sorted(claim.p_value for claim in own if ".reversal." in claim.id) == pytest.approx(
        sorted(benjamini_hochberg(np.array([*tested, *tested, 1.0, 1.0]))[:2])
    )
    assert "of 6" in interpret(list(claims.values()), {}).lower()


def by_hand(rows):
    """Changes of the difference by cell and seed, from rows alone."""
    final = rows[rows["final"] & (rows["measure"] == "reversal") & (rows["category"] == "")]
    final = final[final["layer"] == -2].pivot(
        index=["cell", "seed"], columns="text", values="value"
    )
    difference = (final["true"] - final["absent"]).unstack("cell")
    return [
        (difference[cell] - difference["base"]).dropna().to_numpy()
        for cell in difference
        if cell != "base"
    ]


def test_reversal_of_planted_tokens():
    # Two tokens in object 0, two in object 1, four on the ground; three categories, one axis each.
    covered = np.array([[1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 0, 0]], dtype=float)
    labels = [label_tokens(row) for row in covered]
    axes = torch.eye(4)
    kinds, single = ("template", "bare", "rest", "no sos"), {"mean": axes[3], "empty": axes[3]}
    texts = CategoryTexts(dict.fromkeys(kinds, axes[:3]), single)
    tokens = torch.zeros(1, 8, 4)
    tokens[0, :2, 0] = -1.0  # object 0 points away from its own text
    tokens[0, 2:4, 1] = 1.0  # object 1 towards its own
    tokens[0, :4, 3] = -1.0  # both away from the mean text
    found = [Referent(0, 0, labels[0], (2,), labels[1]), Referent(0, 1, labels[1], (2,), labels[0])]
    names = ("dog", "cat", "cow")
    rows = list(reversal_rows(tokens, found, texts, -2, names))
    index = {row["text"]: row["value"] for row in rows if row["category"] == ""}
    assert index["true"] == pytest.approx(0.0)  # +1 and -1
    by_category = [row["value"] for row in rows if row["category"] and row["text"] == "true"]
    assert sorted(by_category) == [-1.0, 1.0]
    edited = CategoryTexts({**texts.each, "more sos": -axes[:3]}, single)
    more = list(reversal_rows(tokens, found, edited, -2, names))
    kept = {(row["text"], row["category"]): row["value"] for row in more}
    for text, expected in (("no sos", (1.0, -1.0)), ("more sos", (-1.0, 1.0))):
        assert (kept[text, "dog"], kept[text, "cat"]) == expected
        assert kept[f"{text} absent", "dog"] == 0.0
    assert index["absent"] == 0.0  # all tokens tie
    assert index["mean"] == pytest.approx((1 * 4 + 0.5 * 2) / 6 * 2 - 1)
    # Text 0 on object 1: its tokens tie with the ground and lie above object 0's.
    expected = 1 - 2 * ((2 * 1 + 4 * 0.5) / 6)
    assert index["other mask"] == pytest.approx((expected - expected) / 2, abs=1e-9)


def test_effective_rank_known_answers():
    assert effective_rank(torch.ones(5, 3)) == pytest.approx(1.0)
    assert effective_rank(torch.eye(4)) == pytest.approx(4.0)
    assert effective_rank(torch.diag(torch.tensor([1.0, 1.0, 0.0]))) == pytest.approx(2.0)


def test_outcomes_by_hand():
    member = members(("B",))[0]
    line = outcome_table(pd.DataFrame(measured(member, 0.5, 0.3)), 0.8).iloc[0]
    assert line["sink"] == pytest.approx(0.5)
    assert line["reversal"] == pytest.approx(0.3)
    assert line["reversal_true"] == pytest.approx(0.4)
    assert line["reversal_rest"] == pytest.approx(0.3)
    assert bool(line["learned"])
    assert np.isnan(line["reversal_bare"])
    bag = outcome_table(pd.DataFrame(measured(members(("A",))[0], 0.5, 0.3)), 0.8).iloc[0]
    assert np.isnan(bag["reversal"])
    way = trajectory_table(pd.DataFrame(measured(member, 0.5, 0.3)), 0.8)
    assert way["reversal"].tolist() == pytest.approx([0.0, 0.3])
