"""Agreement of two rankings against scipy, hand-worked answers and chance."""

import numpy as np
import pytest

from litelvlm.analysis.stats import agreement


def test_grid_covariates_of_a_small_grid():
    table = agreement.grid_covariates((3, 3))
    assert table.shape == (9, 7)
    assert table[4].tolist() == pytest.approx([0, 0, 0, 0, 0, 1 / 9, 0])
    assert table[[1, 3, 5, 7], 5] == pytest.approx(3.5 / 9)  # ties share their mean
    assert table[:, 6].sum() == 8


def test_rank_biased_overlap_by_hand():
    # k = 2, p = .5, lists (0, 1) and (1, 2): A_1 = 0, A_2 = 1/2 -> .5 * .25 + .5 * (0 + .5 * .5) =
    # .25.
    assert agreement.rank_biased_overlap(
        np.array([0, 1, 3]), np.array([1, 2, 3]), 2
    ) == pytest.approx(0.25)
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


def test_reliability_of_two_halves():
    rng = np.random.default_rng(17)
    signal = rng.normal(size=20_000)
    halves = [signal + rng.normal(size=20_000) for _ in range(2)]
    # Pearson r of the halves would be 1/2.
    assert agreement.reliability(*halves) == pytest.approx(0.483, abs=0.02)
    assert agreement.reliability(*rng.normal(size=(2, 2000))) < agreement.USABLE
    assert np.isnan(agreement.reliability(np.zeros(5), np.arange(5.0)))
    with pytest.raises(ValueError, match="second measurement: not a finite number"):
        agreement.reliability(np.arange(3.0), np.array([0.0, np.nan, 1.0]))


def test_a_ceiling_needs_two_usable_reliabilities():
    assert agreement.ceiling_of(0.9, 0.4) == pytest.approx(0.6)
    assert np.isnan(agreement.ceiling_of(0.9, 0.1))
    assert np.isnan(agreement.ceiling_of(float("nan"), 0.9))


def test_a_ceiling_disattenuates_a_planted_correlation():
    # The truths correlate by .5; noise leaves reliabilities of 1/2 and 4/5, so what is seen is .5
    # sqrt(.4) = .316.
    rng = np.random.default_rng(18)
    x, y = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 40_000).T
    seen = np.corrcoef(x + rng.normal(size=40_000), y + 0.5 * rng.normal(size=40_000))[0, 1]
    assert seen == pytest.approx(0.316, abs=0.02)
    assert seen / agreement.ceiling_of(0.5, 0.8) == pytest.approx(0.5, abs=0.03)
