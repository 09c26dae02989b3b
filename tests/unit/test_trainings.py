"""Estimates over trainings: known answers, nulls that hold, effects that are found."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from litelvlm.analysis.stats.trainings import (
    association,
    blocked_effects,
    t_estimate,
    t_p_value,
    variance_components,
    within_groups,
)


def design(rng, effect, blocks=4):
    """16 cells in each block, half of them high, with a shift of each block and noise."""
    high = np.tile(np.arange(16) % 2 == 1, blocks)
    block = np.repeat(np.arange(blocks), 16)
    values = effect * high + 3.0 * block + rng.standard_normal(16 * blocks)
    return values, high[:, None], block


def test_t_interval_is_that_of_the_textbook():
    values = np.array([0.2, 0.5, 0.3, 0.9, 0.4])
    found = t_estimate(values)
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert t_p_value(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert t_p_value(np.array([1.0, 1.0])) == 0.0
    assert t_p_value(np.array([0.0, 0.0])) == 1.0
    alone = t_estimate(np.array([0.3]))
    assert not alone.defined
    assert np.isnan(t_p_value(np.array([0.3])))
    with pytest.raises(ValueError, match="no training has this value"):
        t_estimate(np.array([]))
    with pytest.raises(ValueError, match="not a finite number"):
        t_estimate(np.array([0.3, np.nan]))


def test_an_effect_within_blocks_is_found_and_its_absence_is_not():
    rng = np.random.default_rng(0)
    (found,) = blocked_effects(*design(rng, 1.5), permutations=2000)
    assert found.estimate.low < 1.5 < found.estimate.high
    assert found.estimate.low > 0.5
    assert found.p_value < 0.002
    p_values, covered = [], 0
    for _ in range(200):
        (null,) = blocked_effects(*design(rng, 0.0), permutations=199)
        p_values.append(null.p_value)
        covered += null.estimate.low < 0 < null.estimate.high
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.10
    assert 0.90 <= covered / 200 <= 0.99


def test_the_interval_is_that_of_least_squares_beside_other_factors():
    rng = np.random.default_rng(1)
    values, high, block = design(rng, 1.0)
    other = np.tile(np.repeat([False, True], 8), 4)
    values = values + 4.0 * other
    (plain,) = blocked_effects(values, high, block, permutations=99)
    first, second = blocked_effects(values, np.c_[high, other], block, permutations=99)
    assert first.estimate.value == pytest.approx(plain.estimate.value)
    assert np.ptp(first.estimate[1:3]) < 0.7 * np.ptp(plain.estimate[1:3])
    fit = OLS(values, np.c_[high, other, block[:, None] == np.arange(4)].astype(float)).fit()
    assert first.estimate[1:3] == pytest.approx(tuple(fit.conf_int()[0]))
    assert second.estimate[1:3] == pytest.approx(tuple(fit.conf_int()[1]))


def test_values_stay_in_their_group():
    group = np.array([1, 0, 1, 0, 1])
    drawn = within_groups(np.arange(5.0), group, 200, np.random.default_rng(0))
    assert {tuple(sorted(row)) for row in drawn[:, group == 1].tolist()} == {(0.0, 2.0, 4.0)}
    assert len({tuple(row) for row in drawn.tolist()}) == 12


def test_a_block_with_one_level_is_refused():
    values, high, block = design(np.random.default_rng(2), 1.0)
    keep = (block < 3) | high[:, 0]
    with pytest.raises(ValueError, match=r"block .*3.* has one level"):
        blocked_effects(values[keep], high[keep], block[keep])


def test_variance_components_return_what_was_planted():
    rng = np.random.default_rng(3)
    trainings, categories, images = 60, 50, 20
    parts = {"training": 0.2, "category": 0.5, "together": 0.3}
    table = (
        rng.normal(0, parts["training"], (trainings, 1))
        + rng.normal(0, parts["category"], (1, categories))
        + rng.normal(0, parts["together"], (trainings, categories))
    )
    single = table[..., None] + rng.normal(0, 0.7, (trainings, categories, images))
    found = variance_components(
        single.mean(-1), single.std(-1, ddof=1), np.full((trainings, categories), float(images))
    )
    for name, size in parts.items():
        assert np.sqrt(getattr(found, name)) == pytest.approx(size, rel=0.3), name
    assert np.sqrt(found.image) == pytest.approx(0.7, rel=0.05)
    flat = np.zeros((3, 4))
    assert variance_components(flat, flat, flat + 2).category == 0
    with pytest.raises(ValueError, match="two trainings, two categories"):
        variance_components(flat[:1], flat[:1], flat[:1] + 2)


def test_association_looks_within_groups_only():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(4), 8)
    a = rng.standard_normal(32) + 10.0 * group
    linked = a + 0.3 * rng.standard_normal(32)
    found = association(a, linked, group, permutations=999)
    assert found.estimate.value > 0.8
    assert found.p_value < 0.01
    # The groups' own means go together, and nothing else does.
    apart = rng.standard_normal(32) + 10.0 * group
    null = association(a, apart, group, permutations=999)
    assert abs(null.estimate.value) < 0.45
    assert null.p_value > 0.05
    with pytest.raises(ValueError, match="does not vary"):
        association(a, group.astype(float), group)
