"""Intervals over trainings and categories: known answers, and how often they cover the truth."""

import numpy as np
import pytest
from scipy import stats

from litelvlm.analysis.stats.crossed_trainings import crossed_coefficients, crossed_trainings


def drawn(rng, trainings, categories, training, category, rest):
    values = rest * rng.standard_normal((trainings, categories))
    values += training * rng.standard_normal((trainings, 1))
    return values + category * rng.standard_normal((1, categories))


def test_without_a_spread_of_categories_it_is_the_t_interval_over_trainings():
    values = np.array([0.1, 0.4, 0.3, 0.2])[:, None] + np.zeros((4, 50))
    found = crossed_trainings(values)
    low, high = stats.t.interval(0.95, 3, loc=0.25, scale=stats.sem(values[:, 0]))
    estimate = found.estimate()
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert found.p_value() == pytest.approx(stats.ttest_1samp(values[:, 0], 0).pvalue)
    assert estimate.n == 4
    assert crossed_trainings(values.T).estimate().low == pytest.approx(low)
    margin = found.p_equivalent(0.3)
    assert margin == pytest.approx(stats.ttest_1samp(values[:, 0], 0.3, alternative="less").pvalue)


@pytest.mark.parametrize(
    ("trainings", "categories", "spreads"),
    [
        (3, 60, (0.1, 0.1, 0.45)),
        (5, 60, (0.05, 0.3, 0.3)),
        (5, 60, (0.3, 0.1, 0.3)),
        (5, 4, (0.05, 0.3, 0.3)),
        (3, 4, (0.0, 0.0, 0.5)),
    ],
)
def test_it_covers_the_true_mean(trainings, categories, spreads):
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(600):
        found = crossed_trainings(drawn(rng, trainings, categories, *spreads)).estimate()
        covered.append(found.low < 0 < found.high)
    # Within one category the rest counts twice, so few categories give the widest intervals.
    assert 0.92 <= np.mean(covered) <= (0.975 if spreads[1] > 0.2 else 0.998)


def test_tables_that_say_nothing_are_refused():
    with pytest.raises(ValueError, match="two trainings and two categories are needed, got 1 x 3"):
        crossed_trainings(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="not a finite number"):
        crossed_trainings(np.array([[0.0, np.nan], [1.0, 2.0]]))
    same = crossed_trainings(np.full((3, 4), 0.25))
    assert (same.p_value(), same.p_equivalent(0.3)) == (0.0, 0.0)
    assert same.estimate().low == same.estimate().high == 0.25


def test_the_coefficient_of_ones_is_the_crossed_mean():
    values = drawn(np.random.default_rng(2), 5, 7, 0.2, 0.3, 0.2)
    (found,) = crossed_coefficients([values], np.ones((5, 1)))
    same = crossed_trainings(values)
    assert (found.value, found.error, found.df) == pytest.approx((same.value, same.error, same.df))


def test_coefficients_cover_the_truth_where_trainings_read_different_categories():
    """An effect with a part of its own in each category; half of the trainings know four."""
    rng, high = np.random.default_rng(3), np.tile([0.0, 1.0], 8)
    design = np.column_stack([high, np.ones(16)])
    covered, narrow = 0, 0
    for _ in range(400):
        tables = []
        for part, categories in ((high[:8], 4), (high[8:], 60)):
            own = 0.5 + 0.3 * rng.standard_normal(categories)
            noise = drawn(rng, 8, categories, 0.05, 0.0, 0.1)
            tables.append(part[:, None] * own + noise)
        found = crossed_coefficients(tables, design)[0]
        estimate = found.estimate()
        means = np.concatenate([table.mean(axis=1) for table in tables])
        assert found.value == pytest.approx(means[high == 1].mean() - means[high == 0].mean())
        covered += estimate.low < 0.5 < estimate.high
        half = stats.t.ppf(0.975, 14) * stats.sem(means[high == 1]) * np.sqrt(2)
        narrow += abs(found.value - 0.5) < half
    assert 0.92 <= covered / 400 <= 0.985
    assert narrow / 400 < 0.9


@pytest.mark.parametrize(
    ("values", "design", "message"),
    [
        ([np.zeros((3, 1))], np.ones((3, 1)), "two categories"),
        ([np.zeros((3, 2))], np.ones((4, 1)), "4 lines of the design for 3 trainings"),
        ([np.zeros((1, 2))], np.ones((1, 1)), "none to spare"),
    ],
)
def test_coefficients_that_cannot_be_had_are_refused(values, design, message):
    with pytest.raises(ValueError, match=message):
        crossed_coefficients(values, design)
