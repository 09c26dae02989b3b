"""The importance study on planted truth, its rows, and what it picks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import GRID, PlantedData, PlantedModel, planted_data
from planted_importance import claims_by_id, first, planted_importance, smooth
from scipy import stats

from litelvlm.analysis.api import read_rows, read_summary
from litelvlm.analysis.inputs.picked import pick
from litelvlm.analysis.inputs.subset import middles
from litelvlm.analysis.signals.clip_scores import REVERSED
from litelvlm.analysis.signals.importance import Signal
from litelvlm.analysis.stats.agreement import top_k_iou
from litelvlm.analysis.studies import importance
from litelvlm.analysis.studies.importance.agreement import (
    Tokens,
    agreement_rows,
    joint_rows,
    pearson,
)
from litelvlm.analysis.studies.importance.tables import means, overlaps
from tests.study_inputs import target_mask

N = 144


def claims_of(rows):
    return importance.make_claims(rows, importance.Config())


def tables_of(rows):
    return importance.make_tables(rows, importance.Config())


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return planted_importance(tmp_path_factory.mktemp("runs"))


def test_a_planted_correlation_is_found_and_claimed(planted):
    summary = read_summary(planted)
    claims = claims_by_id(summary)
    # Spearman of a Gaussian pair with correlation .5 is 6 / pi * asin(.25) = .483; position
    # explains some of it.
    for id in ("rank.attention", "rank.removal", "rank.attention.mask"):
        assert claims[id].estimate == pytest.approx(0.48, abs=0.08)
        assert claims[id].verdict == "supported"
    for id in ("H6", "H6.attention", "H6.removal", "H6.attention.rbo", "H6.removal.mask"):
        assert claims[id].verdict == "supported"
        assert 0.05 < claims[id].estimate < 0.6
    assert claims["H6.attention.place"].verdict == "supported"
    assert claims["H6"].n_images == 24
    assert "is supported" in summary.interpretation
    assert "the true mask 0." in summary.interpretation
    line = first(
        summary.table("agreement"),
        score=REVERSED,
        signal="attention_middle",
        metric="spearman",
        partial_set="none",
    )
    assert line["ceiling"] == pytest.approx(np.sqrt(0.9 * 0.8))
    assert line["disattenuated"] == pytest.approx(line["value"] / line["ceiling"])
    assert line["share_p_shift_below_05"] > 0.9


def test_overlap_at_the_top_is_0_at_chance_and_1_for_the_same_order():
    rng = np.random.default_rng(5)
    found = {0.0: [], 1.0: []}
    for strength, kept in found.items():
        for index in range(60):
            score, noise = smooth(rng), smooth(rng)
            signal = Signal("attention_middle", score if strength else noise)
            rows = agreement_rows(
                {REVERSED: score},
                [signal],
                Tokens(GRID, np.arange(N) + 1.0, np.linspace(0, 1, N)),
                16,
                {},
                (48, 8),
            )
            frame = pd.DataFrame(rows).assign(image_id=index, sent_id=index)
            value = overlaps(frame, "H6.attention", "top_k_iou")["value"].item()
            kept.append(value)
    assert np.mean(found[1.0]) == 1.0
    assert abs(np.mean(found[0.0])) < 2.5 * np.std(found[0.0]) / np.sqrt(60)


def test_where_the_mask_itself_shows_nothing_the_measure_is_called_blind(planted):
    rows = read_rows(planted)
    mask = (rows["score"] == "coverage") & (rows["metric"] == "top_k_iou")
    rows.loc[mask, "corrected"] = np.random.default_rng(0).normal(0, 0.2, int(mask.sum()))
    told = importance.interpret(claims_of(rows), {})
    assert "Even the true mask is not shown to overlap beyond chance" in told
    assert "cannot tell" in told


def test_tables_hold_the_means_of_rows(planted):
    rows, summary = read_rows(planted), read_summary(planted)
    cell = rows[(rows["layer"] == 1) & (rows["head"] == 2) & (rows["partial_set"] == "none")]
    line = first(summary.table("grid"), signal="attention", layer=1, head=2)
    assert line["value"] == pytest.approx(cell["value"].mean())
    assert line["n_images"] == 24
    assert len(summary.table("joint")) == 4 * 36
    assert tables_of(rows.iloc[:0]) == {}
    assert claims_of(rows.iloc[:0]) == []
    assert importance.interpret([], {}) == "Nothing was measured."


def test_targets_that_are_mostly_outside_the_picture_are_counted_and_left_out(planted):
    rows = read_rows(planted)
    hidden = rows["image_id"].isin([0, 1])
    rows.loc[hidden, ["visible_frac", "value", "corrected"]] = 0.4, -1.0, -1.0
    claims = {claim.id: claim for claim in claims_of(rows)}
    for id in ("H6", "H6.attention", "H6.removal", "H6.removal.mask", "rank.removal", "shuffled"):
        assert claims[id].n_images == 22
        assert claims[id].excluded == {"target less than half visible": 2}
    assert claims["H6.attention"].estimate > 0.1
    assert claims["rank.attention"].estimate > 0.4
    assert tables_of(rows)["grid"]["n_images"].unique() == [22]
    assert claims_of(rows[hidden]) == []
    assert tables_of(rows[hidden]) == {}


def test_shuffled_signals_are_a_null_that_can_fail(planted):
    claim = claims_by_id(read_summary(planted))["shuffled"]
    # Planted between 0 and .01, well within the margin of .05.
    assert claim.verdict == "supported"
    rows = read_rows(planted)
    rows.loc[rows["control"] == "shuffled_signal", "value"] += 0.2
    (claim,) = [claim for claim in claims_of(rows) if claim.id == "shuffled"]
    assert claim.verdict == "not supported"


def test_a_correlation_is_compared_with_the_ceiling_of_the_same_images():
    rows = pd.DataFrame(
        {
            "image_id": range(4),
            "signal": "a",
            "value": [0.2, 0.4, -0.9, -0.9],
            "chance": 0.0,
            "corrected": 0.0,
        }
        | {"ceiling": [0.5, 0.7, np.nan, np.nan], "p_shift": np.nan}
    )
    # (.2 + .4) / (.5 + .7): the images without a ceiling do not count.
    found = means(rows, ["signal"])
    assert found["disattenuated"].item() == pytest.approx(0.5)
    assert found["n_ceiling"].item() == 2
    assert "n_ceiling" not in means(rows.assign(ceiling=np.nan), ["signal"])


def rows_of(scores, signals):
    tokens = Tokens(GRID, np.arange(N) % 7 + 1.0, np.linspace(0, 1, N))
    return agreement_rows(scores, signals, tokens, 16, {})


def value(rows, **wanted):
    (found,) = [row for row in rows if all(row[name] == is_ for name, is_ in wanted.items())]
    return found["value"]


def test_what_only_a_skewed_covariate_shares_is_gone_once_it_is_held_fixed():
    """Score and signal follow the mask's coverage and nothing else; most tokens lie outside."""
    rng, plain, left = np.random.default_rng(4), [], []
    for _ in range(60):
        mask = np.zeros(GRID)
        top, start = rng.integers(0, 9, 2)
        mask[top : top + 4, start : start + 4] = rng.uniform(0.3, 1, (4, 4))
        covered = mask.ravel()
        tokens = Tokens(GRID, rng.lognormal(0, 1, N), covered)
        score, signal = (np.sqrt(covered) + rng.normal(0, 0.4, N) for _ in range(2))
        scores = {REVERSED: score, "coverage": covered}
        rows = agreement_rows(scores, [Signal("a", signal)], tokens, 16, {})
        pairs = {"metric": "spearman", "score": REVERSED}
        plain.append(value(rows, partial_set="none", **pairs))
        left.append(value(rows, partial_set="position+coverage", **pairs))
        itself = value(rows, metric="spearman", score="coverage", partial_set="position+coverage")
        assert itself == pytest.approx(0, abs=1e-9)
    assert np.mean(plain) > 0.1
    assert abs(np.mean(left)) < 0.04


def test_every_measure_of_one_pair():
    rng = np.random.default_rng(0)
    score, values = smooth(rng), smooth(rng)
    rows = rows_of({REVERSED: score}, [Signal("a", values)])
    assert value(rows, metric="spearman", partial_set="none") == pytest.approx(
        stats.spearmanr(score, values).statistic
    )
    assert value(rows, metric="pearson") == pytest.approx(stats.pearsonr(score, values).statistic)
    same = rows_of({REVERSED: score}, [Signal("self", 3 * score + 1)])
    for found in same:
        assert found["value"] == pytest.approx(1, abs=1e-9)
        assert found["corrected"] == pytest.approx(1, abs=1e-9)
    opposite = rows_of({REVERSED: score}, [Signal("opposite", -score)])
    assert value(opposite, metric="top_k_iou") == 0
    assert min(row["corrected"] for row in opposite) == pytest.approx(-1)
    # Chance of 16 of 144 exceeds the overlap at the mean intersection, 16 / (288 - 16): the
    # overlap is convex in the intersection.
    (chance,) = {row["chance"] for row in rows if row["metric"] == "top_k_iou"}
    drawn = [top_k_iou(rng.permutation(N), rng.permutation(N), 16) for _ in range(4000)]
    assert chance == pytest.approx(np.mean(drawn), abs=0.002)
    assert 16 / 272 < chance < 16 / 272 + 0.003


def test_layers_and_heads_are_compared_with_the_reversed_similarity_only():
    rng = np.random.default_rng(1)
    scores = {REVERSED: smooth(rng), "random": smooth(rng)}
    rows = rows_of(
        scores, [Signal("whole", smooth(rng)), Signal("attention", smooth(rng), layer=0, head=1)]
    )
    assert {row["score"] for row in rows if row["layer"] == 0} == {REVERSED}
    assert len([row for row in rows if row["layer"] == -1]) == 2 * 6


def test_constant_signals_agree_with_nothing():
    rows = rows_of({REVERSED: np.arange(N, dtype=float)}, [Signal("flat", np.ones(N))])
    assert {row["value"] for row in rows if row["metric"] in ("spearman", "pearson")} == {0.0}
    with pytest.raises(ValueError, match="sample 0, column 3"):
        rows_of({REVERSED: np.where(np.arange(N) == 3, np.nan, 0.0)}, [Signal("flat", np.ones(N))])


def test_joint_ranks_of_equal_and_opposite_orders():
    score = np.arange(N, dtype=float)
    equal = [row["value"] for row in joint_rows(REVERSED, score, Signal("a", score))]
    np.testing.assert_allclose(np.reshape(equal, (6, 6)), np.eye(6) / 6)
    opposite = [row["value"] for row in joint_rows(REVERSED, score, Signal("a", -score))]
    np.testing.assert_allclose(np.reshape(opposite, (6, 6)), np.eye(6)[::-1] / 6)


def test_picks_take_one_expression_of_each_image_over_all_sizes():
    data, model = planted_data(10), PlantedModel()
    picks = pick(data, model, 4, 0)
    assert len(picks) == 4
    assert [len(sample.expressions) for sample in picks] == [1] * 4
    assert (picks.name, picks.digest) == (data.name, data.digest)
    assert pick(data, model, None, 0).picked == pick(data, model, 99, 0).picked
    assert len(pick(data, model, None, 0)) == 10
    areas = [target_mask(sample, sample.expressions[0]).mean() for sample in picks]
    assert all(area > 0 for area in areas)
    assert middles(5, 5) == [0, 1, 2, 3, 4]


def test_expressions_that_cannot_be_asked_or_labelled_are_passed_over_and_counted():
    data, model = planted_data(4), PlantedModel()
    for sample, sent in ((data[0], " "), (data[1], "<image>")):
        blank = replace(sample.expressions[0], sent=sent)
        data[data.index(sample)] = replace(sample, expressions=(blank, sample.expressions[1]))
    lost = replace(data[2].expressions[0], ann_ids=(-1,))
    data[2] = replace(data[2], expressions=(lost,))
    found = [pick(data, model, None, seed) for seed in range(20)]
    # Image 3 has nothing else; of images 1 and 2 the other expression is taken, whichever comes
    # first.
    assert {picks.picked for picks in found} == {((0, 1), (1, 1), (3, 0)), ((0, 1), (1, 1), (3, 1))}
    assert {picks.passed_over["expression without a target"] for picks in found} == {1}
    assert max(picks.passed_over.get("expression without words", 0) for picks in found) == 1
    assert any(
        "1 expression that spells a control token" in note
        for picks in found
        for note in picks.notes
    )
    assert pick(planted_data(4), model, None, 0).notes == ()
    with pytest.raises(ValueError, match=r"can be used \(1 expression without a target\)"):
        pick(PlantedData(data[2:3]), model, None, 0)


def test_a_constant_side_has_no_linear_correlation():
    assert pearson(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 2.0, 2.0]])).item() == 0
