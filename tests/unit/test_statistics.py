"""Intervals, tests and ranking measures against scipy, hand-worked answers and simulation."""

import time
import tracemalloc

import numpy as np
import pytest
from scipy import ndimage, stats

from analysis import agreement, significance
from analysis.claims import Claim, joint_claim, make_claim, verdict
from analysis.ranking_measures import (
    at_budget,
    auroc,
    hedges_g,
    pointing_game,
    reversal_index,
    soft_recall,
    tie_fraction,
)
from analysis.statistics import (
    Bootstrap,
    Estimate,
    bootstrap_means,
    bootstrap_ratios,
    contrast,
    hierarchical_bootstrap,
    mean_estimate,
    ratio_estimate,
)


def clustered(rng, n_images=40, per_image=4, between=1.0, within=0.5):
    """Values whose image effect dominates, and the image of each."""
    ids = np.repeat(np.arange(n_images), per_image)
    return rng.normal(0, between, n_images)[ids] + rng.normal(0, within, len(ids)), ids


# --- ranking measures ---------------------------------------------------------------------------------------------


def test_auroc_equals_scipy_mann_whitney_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 8, 60).astype(float)
        inside = rng.random(60) < 0.3
        outside = ~inside & (rng.random(60) < 0.8)
        u = stats.mannwhitneyu(scores[inside], scores[outside]).statistic
        assert abs(float(auroc(scores, inside, outside)) - u / (inside.sum() * outside.sum())) < 1e-10


def test_auroc_by_hand_and_reversal_index():
    # In: 1, 3. Out: 2, 3, 4. Pairs won: (1: 0, 0, 0), (3: 1, 0.5, 0) -> 1.5 / 6.
    inside = np.array([True, True, False, False, False])
    area = auroc(np.array([1.0, 3.0, 2.0, 3.0, 4.0]), inside, ~inside)
    assert float(area) == pytest.approx(0.25)
    assert float(reversal_index(area)) == pytest.approx(0.5)


def test_constant_scores_are_at_chance():
    inside = np.arange(10) < 3
    scores = np.zeros(10)
    assert float(auroc(scores, inside, ~inside)) == 0.5
    assert hedges_g(scores, inside, ~inside) == 0.0
    assert pointing_game(scores, inside, ~inside) == pytest.approx(0.3)
    assert tie_fraction(scores) == 1.0


def test_auroc_of_many_masks_and_pair_weights():
    rng = np.random.default_rng(1)
    scores, soft = rng.normal(size=30), rng.random(30)
    masks = rng.random((5, 30)) < 0.4
    assert auroc(scores, masks, ~masks) == pytest.approx([float(auroc(scores, m, ~m)) for m in masks], abs=1e-12)
    wins = (scores[:, None] > scores[None]) + 0.5 * (scores[:, None] == scores[None])
    weights = soft[:, None] * (1 - soft)[None]
    assert float(auroc(scores, soft, 1 - soft)) == pytest.approx((wins * weights).sum() / weights.sum(), abs=1e-12)


@pytest.mark.parametrize("planted", [0.0, 0.137, 0.5, 0.8, 1.0])
def test_planted_auroc_is_recovered(planted):
    # 100 tokens in, 1000 out: the first fills `planted` of the outside below every inside token.
    outside_scores = np.arange(1000.0)
    inside_scores = np.full(100, planted * 1000 - 0.5)
    scores = np.r_[inside_scores, outside_scores]
    inside = np.arange(1100) < 100
    assert abs(float(auroc(scores, inside, ~inside)) - planted) < 1e-6


def test_auroc_refuses_nan_and_empty_sides():
    inside = np.array([True, False, False])
    with pytest.raises(ValueError, match="sample 1"):
        auroc(np.array([0.0, np.nan, 1.0]), inside, ~inside)
    with pytest.raises(ValueError, match="without tokens outside"):
        auroc(np.zeros(3), np.ones(3, bool), np.zeros(3, bool))


def test_hedges_g_by_hand():
    # Means 1 and 3, pooled variance (2 + 2) / (6 - 2) = 1, factor 1 - 3 / (4 * 4 - 1) = 0.8.
    scores = np.array([0.0, 1.0, 2.0, 2.0, 3.0, 4.0])
    inside = np.arange(6) < 3
    assert hedges_g(scores, inside, ~inside) == pytest.approx(-1.6)


def test_precision_and_recall_at_a_budget_by_hand():
    # Eligible tokens 0-5, token 6 ignored. In: 0, 1, 4. Order of scores: 6 (ignored), 1, 0, 2, 3, 4, 5.
    scores = np.array([2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 0.0])
    inside = np.array([1, 1, 0, 0, 1, 0, 0], bool)
    outside = np.array([0, 0, 1, 1, 0, 1, 0], bool)
    result = at_budget(scores, inside, outside, 3)
    assert result.precision_low == pytest.approx(2 / 3)
    assert result.recall_low == pytest.approx(2 / 3)
    assert result.recall_high == pytest.approx(1 / 3)
    assert result.chance_precision == result.chance_recall == pytest.approx(0.5)
    assert result.lift_low == pytest.approx(4 / 3)
    assert at_budget(scores, inside, outside, 99).recall_low == 1.0
    assert pointing_game(scores, inside, outside) == 1.0
    # Lowest two of all tokens are 6 and 1.
    assert soft_recall(scores, np.array([0.5, 1, 0, 0, 0.5, 0, 0]), 2) == pytest.approx(0.5)


def test_hypergeometric_chance_is_the_mean_of_random_selections():
    rng = np.random.default_rng(2)
    inside = np.arange(50) < 12
    results = [at_budget(rng.normal(size=50), inside, ~inside, 10) for _ in range(3000)]
    assert np.mean([r.precision_low for r in results]) == pytest.approx(results[0].chance_precision, abs=0.01)
    assert np.mean([r.recall_low for r in results]) == pytest.approx(results[0].chance_recall, abs=0.01)


def test_ties_at_the_budget_go_to_the_lower_index():
    inside = np.array([False, False, True, True])
    assert at_budget(np.zeros(4), inside, ~inside, 2).recall_low == 0.0


# --- intervals ----------------------------------------------------------------------------------------------------


def test_bootstrap_agrees_with_scipy_when_each_image_has_one_sample():
    values = np.random.default_rng(3).normal(size=80)
    ours = mean_estimate(values, np.arange(80))
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=0, n_resamples=20_000).confidence_interval
    assert ours.value == pytest.approx(values.mean(), abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_image_intervals_cover_and_expression_intervals_do_not():
    rng = np.random.default_rng(4)
    n_runs, by_image, by_expression = 1500, 0, 0
    for run in range(n_runs):
        values, ids = clustered(rng)
        image = mean_estimate(values, ids, resamples=600, seed=run)
        expression = mean_estimate(values, np.arange(len(values)), resamples=600, seed=run)
        by_image += image.low <= 0 <= image.high
        by_expression += expression.low <= 0 <= expression.high
    # Percentile intervals of 40 image means are a little short (0.94 here); ignoring the clusters covers 0.71.
    assert 0.93 <= by_image / n_runs <= 0.97
    assert by_expression / n_runs < 0.80


def test_ratio_of_sums_and_paired_contrast_by_hand():
    # cIoU = (1 + 3) / (2 + 8) and (2 + 2) / (4 + 4).
    inter = np.array([[1.0, 2.0], [3.0, 2.0]])
    union = np.array([[2.0, 4.0], [8.0, 4.0]])
    ids = np.array([7, 9])
    result = bootstrap_ratios(inter, union, ids, resamples=2000)
    assert result.value == pytest.approx([0.4, 0.5])
    # Resamples of two images: both first (.5, .5), both second (.375, .5), one of each (.4, .5).
    assert set(np.round(result.draws[:, 0], 6)) == {0.5, 0.375, 0.4}
    difference = contrast(result, lambda v: v[:, :1] - v[:, 1:])
    assert difference.value[0] == pytest.approx(-0.1)
    assert ratio_estimate(inter[:, 0], union[:, 0], ids).value == pytest.approx(0.4)


def test_ratio_is_recomputed_in_every_resample():
    rng = np.random.default_rng(5)
    ids = np.repeat(np.arange(30), 2)
    union = rng.integers(10, 1000, 60).astype(float)
    inter = union * rng.random(60)
    draws = bootstrap_ratios(inter[:, None], union[:, None], ids, resamples=50, seed=3).draws[:, 0]
    picks = np.random.default_rng(3).integers(0, 30, size=(50, 30))
    naive = [inter.reshape(30, 2)[p].sum() / union.reshape(30, 2)[p].sum() for p in picks]
    assert draws == pytest.approx(naive, abs=1e-12)


def test_one_image_has_no_interval_and_no_verdict():
    estimate = mean_estimate(np.array([0.2, 0.4]), np.array([5, 5]))
    assert estimate.value == pytest.approx(0.3)
    assert not estimate.defined
    assert np.isnan(estimate.low)
    assert "one image" in estimate.method
    assert verdict(estimate, 0.0) == "undetermined"
    assert np.isnan(significance.paired_swap_test(np.ones((2, 1)), np.zeros((2, 1)), np.array([5, 5])).p_value)


def test_nan_is_refused_with_its_sample():
    with pytest.raises(ValueError, match="sample 2"):
        mean_estimate(np.array([0.0, 1.0, np.nan]), np.arange(3))
    with pytest.raises(ValueError, match="sample 1"):
        hierarchical_bootstrap(np.array([0.0, np.inf]), [np.arange(2)])


def test_large_bootstrap_is_fast_and_small():
    rng = np.random.default_rng(6)
    values, ids = rng.random((10_000, 80)), rng.integers(0, 10_000, 10_000)
    tracemalloc.start()
    start = time.process_time()
    result = bootstrap_means(values, ids, resamples=10_000)
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.draws.shape == (10_000, 80)
    assert seconds < 10
    assert peak < 2e9


def test_hierarchical_bootstrap_widens_with_each_level():
    rng = np.random.default_rng(7)
    images, expressions = np.repeat(np.arange(30), 12), np.repeat(np.arange(90), 4)
    values = rng.normal(0, 1, 30)[images] + rng.normal(0, 1, 90)[expressions] + rng.normal(0, 1, 360)
    seeds = np.tile(np.arange(4), 90)
    nested = hierarchical_bootstrap(values, [images, expressions, seeds], resamples=4000)
    flat = mean_estimate(values, images, resamples=4000)
    assert nested.value == pytest.approx(flat.value)
    assert nested.high - nested.low > flat.high - flat.low
    shuffled = rng.permutation(360)
    again = hierarchical_bootstrap(
        values[shuffled], [images[shuffled], expressions[shuffled], seeds[shuffled]], resamples=4000
    )
    assert (again.low, again.high) == pytest.approx((nested.low, nested.high), abs=1e-9)


def test_hierarchical_bootstrap_variance_on_a_balanced_design():
    # A draw of the mean of m images with k rows each has variance between / m + mean of within / (m k).
    rng = np.random.default_rng(8)
    images = np.repeat(np.arange(20), 5)
    values = rng.normal(0, 1, 20)[images] + rng.normal(0, 2, 100)
    table = values.reshape(20, 5)
    expected = np.sqrt(table.mean(1).var() / 20 + table.var(1).mean() / 100)
    estimate = hierarchical_bootstrap(values, [images], resamples=20_000)
    assert (estimate.high - estimate.low) / (2 * 1.96) == pytest.approx(expected, rel=0.05)


# --- tests of significance ----------------------------------------------------------------------------------------


def test_swap_test_is_uniform_under_the_null():
    rng = np.random.default_rng(9)
    p_values = []
    for run in range(400):
        a, ids = clustered(rng, n_images=25, per_image=3)
        b, _ = clustered(rng, n_images=25, per_image=3)
        p_values.append(significance.paired_swap_test(a[:, None], b[:, None], ids, 499, run).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09


def test_swap_test_agrees_with_scipy_and_finds_planted_gains():
    rng = np.random.default_rng(10)
    a, b = rng.normal(0.4, 1, 12), rng.normal(0, 1, 12)
    ours = significance.paired_swap_test(a[:, None], b[:, None], np.arange(12), 20_000)
    exact = stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples", vectorized=True
    )
    assert ours.statistic == pytest.approx(exact.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(exact.pvalue, abs=0.015)
    union = rng.integers(50, 100, (40, 1)).astype(float)
    better = significance.paired_swap_test(np.c_[union * 0.8, union], np.c_[union * 0.5, union], np.arange(40))
    assert better.statistic == pytest.approx(0.3)
    assert better.p_value < 0.001
    same = significance.paired_swap_test(np.c_[union, union], np.c_[union, union], np.arange(40))
    assert same.p_value == 1.0


def test_toroidal_null_finds_a_planted_patch_and_not_a_smooth_field():
    rng = np.random.default_rng(11)
    inside = np.zeros((12, 12), bool)
    inside[3:6, 4:8] = True
    scores = rng.normal(0, 0.1, (12, 12)) - inside
    found = significance.toroidal_null(scores, inside, ~inside)
    assert found.statistic == 0.0
    assert found.p_value == pytest.approx(1 / 144)
    assert found.n == 143


def test_toroidal_null_keeps_its_level_on_a_smooth_field_where_a_token_test_does_not():
    rng = np.random.default_rng(18)
    inside = np.zeros((12, 12), bool)
    inside[3:6, 4:8] = True
    field = ndimage.gaussian_filter(rng.normal(size=(12, 12)), 1.5, mode="wrap")
    shifts = np.argwhere(np.ones((12, 12), bool))
    placed = [np.roll(inside, tuple(shift), (0, 1)) for shift in shifts]
    by_shift = [significance.toroidal_null(field, mask, ~mask).p_value for mask in placed]
    by_token = [stats.mannwhitneyu(field[mask], field[~mask]).pvalue for mask in placed]
    # Every placement is one of the 144 that the null holds, so at most 5 % can be among its 5 % most extreme.
    assert np.mean(np.array(by_shift) <= 0.05) <= 0.05
    assert np.mean(np.array(by_token) <= 0.05) > 0.3


def test_sign_and_wilcoxon_are_scipys():
    values = np.array([0.5, -0.1, 0.3, 0.2, 0.0, 0.7])
    assert significance.sign_test(values).p_value == pytest.approx(stats.binomtest(4, 5).pvalue, abs=1e-10)
    assert significance.wilcoxon_test(values[values != 0]).p_value == pytest.approx(
        stats.wilcoxon(values[values != 0]).pvalue, abs=1e-10
    )
    assert significance.wilcoxon_test(np.zeros(4)).p_value == 1.0


def test_equivalence_and_non_inferiority():
    rng = np.random.default_rng(12)
    difference = rng.normal(0.001, 0.01, 200)
    lower = stats.ttest_1samp(difference, -0.01, alternative="greater").pvalue
    upper = stats.ttest_1samp(difference, 0.01, alternative="less").pvalue
    assert significance.equivalence_test(difference, 0.01).p_value == pytest.approx(max(lower, upper), abs=1e-10)
    assert significance.equivalence_test(difference + 0.02, 0.01).p_value > 0.99
    assert significance.non_inferiority_test(difference + 0.02, 0.01).p_value < 1e-6
    assert significance.non_inferior(Estimate(0.0, -0.005, 0.005, 9, 9, ""), 0.01)
    assert not significance.non_inferior(Estimate(0.0, np.nan, np.nan, 1, 9, ""), 0.01)
    with pytest.raises(ValueError, match="positive margin"):
        significance.equivalence_test(difference, 0.0)


def test_holm_and_benjamini_hochberg():
    # Sorted .01, .02, .03, .5 times 4, 3, 2, 1 -> .04, .06, .06, .5.
    assert significance.holm(np.array([0.03, 0.01, 0.5, 0.02])) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    grid = np.random.default_rng(13).random((3, 4))
    expected = stats.false_discovery_control(grid.ravel()).reshape(3, 4)
    assert significance.benjamini_hochberg(grid) == pytest.approx(expected, abs=1e-10)


# --- agreement ----------------------------------------------------------------------------------------------------


def test_partial_spearman_reduces_to_scipy_and_removes_a_common_cause():
    rng = np.random.default_rng(14)
    x, y = rng.normal(size=200), rng.normal(size=200)
    none = np.empty((200, 0))
    assert agreement.partial_spearman(x, y, none) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-10)
    cause = rng.uniform(size=200)
    driven = agreement.partial_spearman(cause + 0.05 * x, cause + 0.05 * y, none)
    cleaned = agreement.partial_spearman(cause + 0.05 * x, cause + 0.05 * y, cause[:, None])
    assert driven > 0.9
    assert abs(cleaned) < 0.25
    assert agreement.partial_spearman(cause, y, stats.rankdata(cause)[:, None]) == 0.0


def test_grid_covariates_of_a_small_grid():
    table = agreement.grid_covariates((3, 3))
    assert table.shape == (9, 7)
    assert table[4].tolist() == [0, 0, 0, 0, 0, 0, 0]
    assert table[:, 6].sum() == 8


def test_rank_biased_overlap_by_hand():
    # k = 2, p = .5, lists (0, 1) and (1, 2): A_1 = 0, A_2 = 1/2 -> .5 * .25 + .5 * (0 + .5 * .5) = .25.
    assert agreement.rank_biased_overlap(np.array([0, 1, 3]), np.array([1, 2, 3]), 2) == pytest.approx(0.25)
    order = np.random.default_rng(15).permutation(50)
    assert agreement.rank_biased_overlap(order, order, 10) == pytest.approx(1.0)


def test_chance_levels_are_the_means_of_random_orders():
    rng = np.random.default_rng(16)
    pairs = [(rng.permutation(60), rng.permutation(60)) for _ in range(3000)]
    overlap = np.mean([agreement.rank_biased_overlap(a, b, 12) for a, b in pairs])
    assert overlap == pytest.approx(agreement.rbo_chance(60, 12), abs=0.005)
    iou = np.mean([agreement.top_k_iou(a, b, 12) for a, b in pairs])
    assert iou == pytest.approx(agreement.top_k_iou_chance(60, 12), abs=0.005)
    assert agreement.chance_corrected(0.4, 0.25) == pytest.approx(0.2)
    assert np.isnan(agreement.chance_corrected(1.0, 1.0))
    with pytest.raises(ValueError, match="between 1 and 60"):
        agreement.rbo_chance(60, 61)


def test_split_half_ceiling():
    rng = np.random.default_rng(17)
    signal = rng.normal(size=20_000)
    halves = [signal + rng.normal(size=20_000) for _ in range(2)]
    ceiling = agreement.split_half_ceiling(halves[0], halves[1])
    # Pearson r of the halves would be 1/2 (Spearman .483), the whole signal's reliability 2/3 (.651).
    assert ceiling.half == pytest.approx(0.483, abs=0.02)
    assert ceiling.full == pytest.approx(2 * ceiling.half / (1 + ceiling.half))
    assert agreement.disattenuated(0.3, ceiling, ceiling) == pytest.approx(0.3 / ceiling.full)
    noise = agreement.split_half_ceiling(rng.normal(size=2000), rng.normal(size=2000))
    assert not noise.usable
    assert np.isnan(agreement.disattenuated(0.3, ceiling, noise))
    with pytest.raises(ValueError, match="constant"):
        agreement.split_half_ceiling(np.zeros(5), np.arange(5.0))


# --- claims -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "direction", "expected"),
    [
        (0.1, 0.3, "greater", "supported"),
        (-0.3, -0.1, "greater", "not supported"),
        (-0.1, 0.1, "greater", "undetermined"),
        (-0.3, -0.1, "less", "supported"),
        (0.1, 0.3, "less", "not supported"),
        (-0.2, 0.0, "greater", "not supported"),
    ],
)
def test_verdict(low, high, direction, expected):
    assert verdict(Estimate(0.0, low, high, 20, 30, ""), 0.0, direction) == expected
    assert verdict(Estimate(0.0, low, high, 19, 30, ""), 0.0, direction) == "undetermined"


def test_a_joint_claim_needs_all_its_parts_and_survives_json():
    good = make_claim("a", "A.", Estimate(0.2, 0.1, 0.3, 20, 90, "m"), 0.0, "nothing", p_value=0.01, p_claimed=0.005)
    open_ = make_claim("b", "B.", Estimate(0.3, np.nan, np.nan, 1, 9, "m"), 0.0, "chance", p_value=0.5, p_claimed=0.25)
    both = joint_claim("ab", "Both.", [good, open_])
    assert (both.id, both.verdict, both.estimate, both.n) == ("ab", "undetermined", 0.3, 9)
    assert both.null_description == "b decides: chance"
    assert both.one_sided
    assert both.p_value == 0.25
    again = Claim.model_validate_json(open_.model_dump_json())
    assert np.isnan(again.low)
    assert again.verdict == "undetermined"


def part(name, estimate, p_value, p_claimed):
    low, high = estimate - 0.1, estimate + 0.1
    numbers = Estimate(estimate, low, high, 20, 40, "m")
    return make_claim(name, "S.", numbers, 0.0, "nothing", p_value=p_value, p_claimed=p_claimed)


def test_a_joint_claim_shows_the_part_that_decides():
    # Far on the wrong side: two-sided p is small, one-sided p near 1.
    held, weaker, open_, against = (
        part("held", 0.5, 0.001, 0.0005),
        part("weaker", 0.3, 0.01, 0.005),
        part("open", 0.05, 0.3, 0.15),
        part("against", -0.5, 0.001, 0.9995),
    )
    for parts, decides in (
        ([held, weaker], weaker),
        ([weaker, held], weaker),
        ([held, open_], open_),
        ([open_, held], open_),
        ([held, against], against),
        ([against, open_, held], against),
    ):
        both = joint_claim("all", "All.", parts)
        assert (both.estimate, both.low, both.verdict) == (decides.estimate, decides.low, decides.verdict)
        assert both.p_value == max(p.p_claimed for p in parts)
    assert joint_claim("all", "All.", [held, against]).p_value == 0.9995


def test_one_sided_bootstrap_p_values_by_hand():
    # Of four draws two are at most 0 and three at least 0: 3/5 and 4/5 with one added, two-sided at most 1.
    result = Bootstrap(np.array([0.5]), np.array([[-1.0], [0.0], [1.0], [2.0]]), 5, 5)
    assert result.p_values(0.0, one_sided=True).tolist() == [0.6]
    assert result.p_values(0.0).tolist() == [1.0]
    assert result.p_values(1.5, one_sided=True).tolist() == [0.8]
    assert np.isnan(Bootstrap(np.array([0.5]), np.empty((0, 1)), 1, 5).p_values(one_sided=True)).all()
