"""The ablations on a planted model that segments exactly the kept tokens of the named object."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from planted import PlantedData, PlantedModel, planted_data

from litelvlm.analysis.api import complete_run, read_record, read_rows, read_summary
from litelvlm.analysis.inputs.subset import EvenSubset, evenly
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies import ablations
from litelvlm.analysis.studies.ablations.config import (
    METHODS_BY_REQUEST,
    OPPOSITE,
    TOGETHER,
)
from litelvlm.analysis.studies.ablations.pairs import (
    OFFICIAL_PAIRS,
    official_claims,
    official_scores,
    official_table,
)
from litelvlm.analysis.studies.ablations.protocols import protocol_table
from litelvlm.analysis.studies.ablations.rows import correlations, rounding
from litelvlm.analysis.studies.ablations.tables import (
    attention_estimates,
    gain_table,
    pooled_pearson,
    reading,
)
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.tables import strata_table
from litelvlm.pruning import Cues
from tests.study_inputs import NO_WORDS, PAPER

CIOU, CONFIG = SCORES["ciou"], ablations.Config()
ASKED = ("llm_score", "worst_first", "falsify", "recovery", "rounding", "protocol")
FAST = ablations.Config(
    requests=ASKED,
    images=24,
    expressions=2,
    budgets=(48, 16),
    random_seeds=2,
    official_seeds=2,
    pool=16,
    chunk_size=12,
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return complete_run(
        ablations.STUDY,
        PlantedModel(),
        planted_data(30),
        FAST,
        tmp_path_factory.mktemp("ablations"),
    )


@pytest.fixture(scope="module")
def rows(done):
    return read_rows(done)


def of(rows, method, budget=48):
    return rows[(rows.part == "methods") & (rows.method == method) & (rows.budget == budget)]


def test_the_run_is_a_whole_result_on_an_even_part_of_the_split(done, rows):
    record = read_record(done)
    assert record.state == "done"
    assert record.limit is None
    assert rows[rows.part == "methods"].image_id.nunique() == 24
    assert set(rows[rows.part == "methods"].protocol) == {"single"}
    compared = rows[rows.part == "protocols"]
    assert set(compared.protocol) == {"single", "official"}
    assert set(compared.method) == {"none", *TOGETHER}
    # Every expression of the same images, two each, of random tokens under both seeds.
    alone = compared[compared.protocol == "single"].groupby(["method", "budget"]).size()
    assert (alone == [96 if method == "random" else 48 for method, _ in alone.index]).all()
    assert set(rows[rows.protocol == "official"].seed) == {0, 1}
    asked = {"none", "litelvlm"} | {
        m for r in METHODS_BY_REQUEST for m in METHODS_BY_REQUEST[r] if r in ASKED
    }
    assert set(rows[rows.part == "methods"].method) == asked


def test_the_right_text_keeps_the_object_and_other_inputs_do_not(rows):
    assert (of(rows, "litelvlm").iou == 1.0).all()
    assert (of(rows, "llm_attention").iou == 1.0).all()
    # The text of another category, or none, says nothing about this object: at most what chance or
    # ties leave.
    assert of(rows, "litelvlm(texts=shuffled)").iou.mean() < 0.9
    assert of(rows, "litelvlm(texts=empty)").iou.mean() < 0.9
    assert (of(rows, "litelvlm(direction=highest)").iou < 0.2).all()
    assert (of(rows, "reverse(of=llm_attention)").iou < 0.2).all()
    assert (
        of(rows, "litelvlm(layer=-1)").iou == 1.0
    ).all()  # here both layers hold the same states
    assert (of(rows, "inverse_mask_oracle").inter_px == 0).all()


def test_the_context_share_costs_what_it_takes_from_the_ranking(rows):
    # With 16 tokens, 8 by similarity hold at most 8 of the object's 9.
    half = of(rows, "litelvlm(context_share=0.5)", 16)
    assert half.iou.max() <= 1.0
    assert half.iou.mean() < of(rows, "litelvlm", 16).iou.mean()
    raster = of(rows, "litelvlm(context_share=0.5, order=raster)", 16)
    np.testing.assert_array_equal(
        half.sort_values("sent_id").iou, raster.sort_values("sent_id").iou
    )


def test_claims_and_deltas_on_the_planted_signal(done):
    summary = read_summary(done)
    found = {claim.id: claim for claim in summary.claims}
    oracles = {"llm_attention", "llm_gradient", "block_loo"}
    parts = {"worst_first", "true_text", "any_text", "value_norm", "even", "recovery"}
    assert parts | oracles | {pair.id for pair in OFFICIAL_PAIRS} == set(found)
    for name in ("worst_first", "true_text", "any_text", "even"):
        assert found[name].verdict == "supported"
    assert found["llm_attention"].estimate == 0.0
    assert "supported: worst_first" in summary.interpretation
    deltas = summary.table("deltas").set_index(["method", "budget", "metric"])
    line = deltas.loc[("litelvlm(direction=highest)", 48, "ciou")]
    assert line.delta == pytest.approx(-found["worst_first"].estimate)
    assert line.p <= line.p_holm <= 1.0
    same = deltas.loc[("litelvlm(layer=-1)", 48, "giou")]
    assert (same.delta, same.p) == (0.0, 1.0)
    assert same.p_equivalent < 0.001
    assert same.within_a_point
    assert not line.within_a_point
    assert (
        deltas.loc[("litelvlm(context_share=0.5, order=raster)", 48, "ciou")].reference
        == "litelvlm(context_share=0.5)"
    )
    assert (deltas.mde >= 0).all()


@pytest.mark.parametrize(
    ("low", "high", "p", "words"),
    [
        (0.05, 0.20, 0.01, "yes"),
        (0.05, 0.20, 0.06, "cannot tell"),
        (-0.30, -0.10, 0.01, "yes, to its harm"),
        (-0.30, -0.10, 0.06, "cannot tell"),
        (-0.09, 0.00, 0.30, "cannot tell"),
        (-0.009, 0.009, 0.90, "no"),
        (0.002, 0.009, 0.90, "no"),
        (0.002, 0.009, 0.01, "yes"),
        (np.nan, np.nan, np.nan, "cannot tell"),
    ],
)
def test_whether_a_ranking_reads_its_text_in_words(low, high, p, words):
    table = pd.DataFrame([{"low": low, "high": high, "p_holm": p}])
    assert reading(table, 0.01) == [words]


def test_tables_agree_with_rows(done, rows):
    summary = read_summary(done)
    tables = "scores deltas retention gain protocols official precision reads_text"
    assert set(summary.tables) == set(tables.split())
    kept = summary.table("retention").set_index(["method", "budget"])
    assert kept.loc[("litelvlm", 48), "kept"] == 1.0
    chosen = of(rows, "uniform")
    assert kept.loc[("uniform", 48), "kept"] == pytest.approx(
        chosen.inter_px.sum() / chosen.union_px.sum()
    )
    protocols = summary.table("protocols").set_index(["protocol", "method", "budget"])
    assert protocols.loc[("official", "none", 144), "ciou"] == 1.0
    assert protocols.loc[("official", "litelvlm", 16), "draws"] == 2
    assert np.isnan(protocols.loc[("single, every expression", "litelvlm", 16), "sd_draws"])
    of_seed = draws_of(rows).groupby("seed")[PIXELS].sum()
    spread = (of_seed.inter_px / of_seed.union_px).std()
    assert protocols.loc[("official", "litelvlm", 16), "sd_draws"] == pytest.approx(spread)
    # The lead by reversal rests on every expression of the images, not on the chosen ones.
    everything = rows[(rows.part == "protocols") & (rows.protocol == "single")]
    gain = summary.table("gain").query("method == 'litelvlm'")
    assert gain.groupby("budget").n.sum().tolist() == [everything.sent_id.nunique()] * 2
    measured = everything[everything.ri.notna()]
    assert set(measured.method) == {"none"}
    same = of(rows, "none", 144).set_index("sent_id").ri
    np.testing.assert_allclose(measured.set_index("sent_id").ri.reindex(same.index), same)


def test_strata_cover_every_expression_and_leave_out_no_size(rows):
    strata = strata_table(rows[rows.part == "methods"], CIOU)
    assert set(strata.stratum) == {"kind", "size", "words"}
    assert (strata.groupby(["stratum", "budget"]).n.sum() == 48).all()
    assert (strata.low_categories <= strata.low).all()
    without_random = rows[(rows.part == "methods") & (rows.method != "random")]
    assert strata_table(without_random, CIOU).empty


def test_expressions_that_mean_nothing_are_no_small_targets(rows):
    alone = rows[rows.part == "methods"]
    first = sorted(alone.image_id.unique())[:6]
    nothing = alone.assign(area_frac=alone.area_frac.mask(alone.image_id.isin(first), 0.0))
    sizes = strata_table(nothing, CIOU).query("stratum == 'size' and budget == 16")
    sizes = sizes.set_index("group")
    # Six of 24 images, with two expressions each; the objects of the others are all of one size.
    assert sizes.loc["no target", "n"] == 12
    assert sizes.drop("no target").n.sum() == 36


PIXELS = ["inter_px", "union_px"]


def draws_of(rows, protocol="official"):
    return rows[(rows.part == "protocols") & (rows.protocol == protocol)].query(
        "method == 'litelvlm' and budget == 16"
    )


def test_official_pairs_are_differences_of_the_official_rows_alone(rows):
    # Asked alone the method fails, but only official rows count.
    changed = rows.copy()
    changed.loc[(rows.protocol == "single") & (rows.method == "litelvlm"), "inter_px"] = 0
    official = rows[(rows.protocol == "official") & (rows.budget == 16)].set_index("method")
    ciou = official.groupby("method").inter_px.sum() / official.groupby("method").union_px.sum()
    table = official_table(changed).set_index(["id", "budget"])
    assert set(table.index) == {(pair.id, budget) for pair in OFFICIAL_PAIRS for budget in (48, 16)}
    for pair in OFFICIAL_PAIRS:
        line = table.loc[pair.id, 16]
        assert (line.method, line.reference) == (pair.first, pair.second)
        assert line.delta == pytest.approx(ciou[pair.first] - ciou[pair.second])
        assert line.low <= line.delta <= line.high
        # Two draws of two expressions each.
        assert (line.n_images, line.n) == (24, 24 * 2 * 2)
    # Two texts share 16 places, so each keeps 8 of its object's 9 patches; the planted model reads
    # no order.
    assert ciou[PAPER] == pytest.approx(8 / 9)
    assert table.loc["official.order", 16].delta == 0.0
    assert table.loc["official.order", 16].p == 1.0
    np.testing.assert_array_equal(table.p_holm, holm(table.p.to_numpy()))
    claims = {claim.id: claim for claim in official_claims(official_scores(changed), CONFIG)}
    assert set(claims) == {pair.id for pair in OFFICIAL_PAIRS}
    assert claims["official.direction"].estimate == pytest.approx(
        table.loc["official.direction", 48].delta
    )
    assert claims["official.direction"].statement == (
        "With 48 tokens litelvlm has a higher cIoU than litelvlm(direction=highest), "
        "in the official protocol."
    )


def test_all_draws_of_an_image_are_swapped_together(rows):
    # Of the four ways to swap the labels on two images two are as extreme as what was seen; by
    # expression and draw there would be 256 ways.
    few = official_table(rows[rows.image_id.isin((1, 2))]).set_index(["id", "budget"])
    assert few.loc[("official.direction", 16), "n"] == 8
    assert few.loc[("official.direction", 16), "p"] == pytest.approx(0.5, abs=0.05)


def test_a_context_that_carries_the_score_leaves_nothing_to_the_direction(rows):
    # The opposite ranking gets what the method gets.
    same = (rows.protocol == "official") & rows.method.isin([PAPER, OPPOSITE])
    changed = rows.assign(inter_px=rows.inter_px.where(~same, rows.union_px // 2))
    found = {claim.id: claim for claim in official_claims(official_scores(changed), CONFIG)}[
        "official.direction"
    ]
    assert (found.estimate, found.verdict) == (0.0, "not supported")


def test_protocols_are_compared_on_the_expressions_that_were_drawn(rows):
    # Asked alone, even expressions lose half of what they hold; the official answers stay as they
    # are.
    changed = rows.copy()
    halved = (rows.part == "protocols") & (rows.protocol == "single") & (rows.sent_id % 2 == 0)
    changed.loc[halved, "inter_px"] //= 2
    official, alone = draws_of(changed), draws_of(changed, "single").set_index("sent_id")
    drawn = alone.loc[official.sent_id, PIXELS].sum()
    table = protocol_table(changed, CIOU).set_index(["protocol", "method", "budget"])
    found = {name: table.loc[(name, "litelvlm", 16)] for name in table.index.levels[0]}
    assert found["official"].ciou == pytest.approx(
        official.inter_px.sum() / official.union_px.sum()
    )
    assert found["single, the expressions drawn"].ciou == pytest.approx(
        drawn.inter_px / drawn.union_px
    )
    assert found["single, every expression"].ciou == pytest.approx(
        alone.inter_px.sum() / alone.union_px.sum()
    )
    gap = found["official"].ciou - found["single, the expressions drawn"].ciou
    assert found["official minus single"].ciou == pytest.approx(gap)
    assert found["official minus single"].low > 0
    assert found["official"].n == found["official minus single"].n == len(official)
    # In the single protocol random tokens are the mean of their seeds.
    single = changed.query(
        "part == 'protocols' and protocol == 'single' and method == 'random' and budget == 16"
    )
    sums = single.groupby("seed")[PIXELS].sum().mean()
    assert table.loc[("single, every expression", "random", 16), "ciou"] == pytest.approx(
        sums.inter_px / sums.union_px
    )
    # Methods that were run on other expressions do not enter.
    changed.loc[changed.part == "methods", PIXELS] = 1
    pd.testing.assert_frame_equal(table.reset_index(), protocol_table(changed, CIOU))


def test_what_rounding_changes_is_measured(rows, done):
    measured = of(rows, "none", 144)
    assert (measured["ties_float32"] <= measured["ties_bfloat16"]).all()
    table = read_summary(done).table("precision").set_index(["measure", "budget"])
    assert table.loc[("kept sets, Jaccard", 16), "mean"] == pytest.approx(
        measured["jaccard_16"].mean()
    )
    assert table.loc[("tied scores, bfloat16", 0), "mean"] == pytest.approx(
        measured["ties_bfloat16"].mean()
    )
    # 1.001 and 1.002 are 1 in bfloat16: tokens 0 to 2 tie and the lower index goes first, where
    # float32 takes 2.
    patches = torch.tensor([[1.002], [1.001], [1.0], [3.0]])
    cues = Cues.from_tensors(patch_embeds=patches, text_embeds=torch.ones(1, 1), **CONTEXT)
    assert rounding(cues, {1: 1, 3: 3}) == {
        "ties_float32": 0,
        "ties_bfloat16": 0.75,
        "jaccard_1": 0,
        "jaccard_3": 1,
    }


CONTEXT = {
    "query": torch.ones(2),
    "keys": torch.ones(4, 2),
    "values": torch.ones(4, 2),
    "cls_attention": torch.ones(4),
}


def test_the_gain_is_split_by_quarters_of_the_index(rows):
    alone = rows[rows.part == "methods"].copy()
    # Give the pruned method's failures to the lowest indices.
    order = alone[alone.method == "none"].sort_values("sent_id").sent_id.to_numpy()
    alone["ri"] = alone.sent_id.map(dict(zip(order, np.linspace(-1, 1, len(order)), strict=True)))
    worst = alone.sent_id.isin(order[: len(order) // 4])
    alone.loc[worst & (alone.method == "litelvlm"), "inter_px"] = 0
    table = gain_table(alone, CIOU).query("budget == 48").set_index("quarter")
    assert table.index.tolist() == ["lowest quarter", "second", "third", "highest quarter"]
    assert table.n.tolist() == [12] * 4
    assert table.loc["lowest quarter", "delta"] < 0
    assert (table.delta[1:] > 0).all()
    assert table.ri.is_monotonic_increasing


def test_correlations_of_one_sample_and_of_all_tokens_together():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 30))
    y = y + 0.5 * x
    found = pd.DataFrame([correlations(a, b) for a, b in zip(x, y, strict=True)])
    assert found.pearson[0] == pytest.approx(np.corrcoef(x[0], y[0])[0, 1])
    sums = (
        found[["sum_count", "sum_x", "sum_y", "sum_xx", "sum_yy", "sum_xy"]]
        .to_numpy()
        .sum(0, keepdims=True)
    )
    assert pooled_pearson(sums)[0, 0] == pytest.approx(np.corrcoef(x.ravel(), y.ravel())[0, 1])
    assert np.isnan(correlations(np.zeros(4), np.arange(4.0))["pearson"])
    constant = pd.DataFrame([correlations(np.zeros(4), np.arange(4.0))])
    alone = pd.concat([found, constant]).assign(method="none", image_id=range(6))
    estimates, undefined = attention_estimates(alone)
    assert undefined == 1
    assert estimates["Pearson, mean over samples"].value == pytest.approx(found.pearson.mean())
    assert estimates["Pearson, mean over samples"].n == 5
    assert attention_estimates(constant.assign(method="none", image_id=0)) == ({}, 1)


def test_one_image_has_scores_and_no_verdict(tmp_path):
    config = FAST.model_copy(update={"requests": ("falsify", "protocol")})
    summary = read_summary(
        complete_run(ablations.STUDY, PlantedModel(), planted_data(1), config, tmp_path)
    )
    assert {claim.verdict for claim in summary.claims} == {"undetermined"}
    assert {claim.method for claim in summary.claims} == {"undefined: one image"}
    assert summary.table("deltas").p.isna().all()
    assert summary.table("official").p_holm.isna().all()
    # There is no text of another image either.
    assert "litelvlm(texts=shuffled)" not in set(summary.table("scores").method)


def unaskable(n_images, place):
    """Planted images where one expression has no words; its place turns from image to image."""
    data = planted_data(n_images)
    for number, sample in enumerate(data):
        expressions = list(sample.expressions)
        at = (place + number) % len(expressions)
        expressions[at] = replace(expressions[at], sent=" ")
        data[number] = replace(sample, expressions=tuple(expressions))
    return data


PROTOCOL_ONLY = ablations.Config(requests=("protocol",), budgets=(16,), official_seeds=1)


def test_what_protocols_leave_out_besides_the_chosen_expressions_is_told(tmp_path):
    record = read_record(
        complete_run(ablations.STUDY, PlantedModel(), unaskable(2, 1), PROTOCOL_ONLY, tmp_path)
    )
    assert (record.counts.done, record.counts.skipped) == (2, {})
    notes = [
        f"image {i}: 1 more left out where protocols are compared (expression without words)"
        for i in (1, 2)
    ]
    assert list(record.notes) == notes


def test_a_run_none_of_whose_chosen_expressions_can_be_asked_has_no_claims(tmp_path):
    folder = complete_run(ablations.STUDY, PlantedModel(), unaskable(2, 0), PROTOCOL_ONLY, tmp_path)
    assert read_record(folder).counts.skipped == {NO_WORDS: 2}
    assert set(read_rows(folder).part) == {"protocols"}
    summary = read_summary(folder)
    assert (summary.claims, summary.tables) == ((), {})


def test_nothing_to_summarise():
    protocols_only = pd.DataFrame({"part": ["protocols"]})
    assert ablations.make_claims(protocols_only, CONFIG) == []
    assert ablations.make_tables(protocols_only, CONFIG) == {}
    assert "No claim" in ablations.interpret([], {})


def test_a_subset_takes_images_and_expressions_at_even_distances():
    data = planted_data(10)
    part = EvenSubset(data, 4, 1)
    assert [sample.image_id for sample in part] == [1, 3, 6, 8]
    assert all(len(sample.expressions) == 1 for sample in part)
    assert part[2].expressions[0] == data[5].expressions[0]
    assert part[1].expressions[0] == data[2].expressions[1]
    assert (part.name, part.split, part.split_by) == (data.name, data.split, data.split_by)
    assert (
        len({data.digest, part.digest, EvenSubset(data, 4).digest, EvenSubset(data, 5, 1).digest})
        == 4
    )
    assert [s.image_id for s in EvenSubset(data, None)] == [s.image_id for s in data]
    assert len(EvenSubset(PlantedData(), 3)) == 0
    assert evenly(3, 5) == [0, 1, 2]
