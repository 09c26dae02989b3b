"""Correlations of maps on the grid equal scipy's and those by brute force.

The tests on them hold their level.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter
from statsmodels.regression.linear_model import OLS

from litelvlm.analysis.stats.agreement import grid_covariates
from litelvlm.analysis.stats.spatial import (
    basis,
    rank_correlations,
    residual_ranks,
    shift_p_values,
    shifted_correlations,
)

GRID = (6, 8)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    # Rounded, so that there are ties.
    return rng.normal(size=(3, 48)).round(1), rng.normal(size=(2, 48)).round(1)


def partial(first, second, covariates):
    design = basis(first.shape[1], covariates)
    return residual_ranks(first, design) @ residual_ranks(second, design).T


def test_correlations_equal_scipy(rows):
    first, second = rows
    for a in range(3):
        for b in range(2):
            assert rank_correlations(first, second)[a, b] == pytest.approx(
                stats.spearmanr(first[a], second[b]).statistic, abs=1e-12
            )


def test_partial_correlations_equal_those_of_statsmodels_residuals(rows):
    first, second = rows
    covariates = grid_covariates(GRID)
    found = partial(first, second, covariates)
    design = np.column_stack([np.ones(48), covariates])
    a, b = (
        [OLS(stats.rankdata(row), design).fit().resid for row in side] for side in (first, second)
    )
    expected = [[stats.pearsonr(x, y).statistic for y in b] for x in a]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # A column twice, or a constant one, changes nothing.
    doubled = np.column_stack([covariates, covariates[:, 0], np.ones(48)])
    np.testing.assert_allclose(partial(first, second, doubled), expected, atol=1e-10)
    assert basis(48, doubled).shape == (48, 8)


@pytest.mark.parametrize("covariates", [None, grid_covariates(GRID)])
def test_every_move_equals_moving_by_hand(rows, covariates):
    first, second = rows
    found = shifted_correlations(first, second, GRID, covariates)
    assert found.shape == (3, 2, 6, 8)
    for move in ((0, 0), (1, 0), (0, 3), (5, 7)):
        moved = np.roll(second.reshape(-1, *GRID), move, axis=(1, 2)).reshape(second.shape)
        expected = partial(first, moved, covariates)
        np.testing.assert_allclose(found[:, :, *move], expected, atol=1e-10)


def test_p_values_count_the_moves_that_do_as_well():
    # 2 x 2 grid: unmoved .5; one move better, one equal, one worse: (1 + 2) / 4.
    assert shift_p_values(np.array([0.5, 0.7, 0.5, 0.1]).reshape(1, 1, 2, 2)).tolist() == [[0.75]]


def test_constant_and_explained_rows_correlate_zero():
    covariates = grid_covariates(GRID)
    flat, x, noise = (
        np.ones((1, 48)),
        covariates[:, :1].T,
        np.random.default_rng(0).normal(size=(1, 48)),
    )
    assert rank_correlations(flat, noise).item() == 0
    assert partial(x, noise, covariates).item() == 0
    assert not shifted_correlations(noise, flat, GRID).any()
    assert not residual_ranks(flat, basis(48)).any()
    with pytest.raises(ValueError, match="sample 0, column 2"):
        rank_correlations(np.where(np.arange(48) == 2, np.nan, flat), noise)


def smooth_maps(rng, n):
    """Maps without any link whose neighbours are alike."""
    return np.stack(
        [gaussian_filter(rng.normal(size=(12, 12)), 1.5, mode="wrap").ravel() for _ in range(n)]
    )


def test_the_naive_p_value_of_smooth_maps_fails_and_the_shift_p_value_holds():
    # 400 pairs without a link: a test at 5 % must reject 20 of them, give or take 4.4 (one standard
    # deviation).
    rng = np.random.default_rng(1)
    naive, shifted = 0, 0
    for _ in range(400):
        a, b = smooth_maps(rng, 1), smooth_maps(rng, 1)
        naive += stats.spearmanr(a[0], b[0], alternative="greater").pvalue < 0.05
        shifted += shift_p_values(shifted_correlations(a, b, (12, 12))).item() < 0.05
    assert naive > 80  # more than 20 %
    assert 8 <= shifted <= 32  # 5 % within three standard deviations


@pytest.mark.parametrize("planted", [0.0, 0.5, 0.9])
def test_a_planted_rank_correlation_is_recovered(planted):
    # Spearman of a bivariate normal pair with correlation r is 6 / pi * asin(r / 2).
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 144))
    y = planted * x + np.sqrt(1 - planted**2) * rng.normal(size=(200, 144))
    found = np.mean([rank_correlations(a[None], b[None]).item() for a, b in zip(x, y, strict=True)])
    assert found == pytest.approx(6 / np.pi * np.arcsin(planted / 2), abs=0.015)


def test_a_planted_centre_bias_disappears_when_position_is_held_fixed():
    rng = np.random.default_rng(3)
    covariates = grid_covariates((12, 12))
    bias = -covariates[:, 5]
    first, second = (bias + 0.1 * rng.normal(size=(50, 144)) for _ in range(2))
    plain = np.diag(rank_correlations(first, second)).mean()
    held = np.diag(partial(first, second, covariates)).mean()
    assert plain > 0.6
    assert abs(held) < 0.05
