"""Another kind of interval, the best of several rivals, and what a sample could have shown."""

import numpy as np
import pytest
from planted import clustered
from scipy import stats
from statsmodels.stats.power import TTestPower

from litelvlm.analysis.api import Bootstrap, bootstrap_means
from litelvlm.analysis.stats.bootstrap import means, ratios
from litelvlm.analysis.stats.precision import bca_estimate, minimum_detectable, smallest_effect


def with_ones(values):
    return np.column_stack([values, np.ones(len(values))])


def test_bca_equals_scipy_when_each_image_has_one_sample():
    values = np.random.default_rng(0).exponential(size=50)
    ours = bca_estimate(with_ones(values), np.arange(50), means, resamples=3000, seed=4)
    theirs = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=3000, rng=4
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-10)
    assert ours.value == pytest.approx(values.mean(), abs=1e-12)
    assert "BCa" in ours.method


def test_bca_resamples_images_and_corrects_a_skewed_ratio():
    rng = np.random.default_rng(1)
    ids = np.repeat(np.arange(40), 3)
    union = rng.exponential(100, 40)[ids] + 1
    inter = union * rng.beta(2, 1, 120)
    columns = np.column_stack([inter, union])
    ours = bca_estimate(columns, ids, ratios, resamples=4000)
    sums = np.add.reduceat(columns, np.arange(0, 120, 3))
    theirs = stats.bootstrap(
        (sums[:, 0], sums[:, 1]),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        method="BCa",
        rng=0,
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours.n_images == 40
    assert ours.n == 120


def test_bca_without_spread_or_with_one_image():
    point = bca_estimate(with_ones(np.full(6, 0.5)), np.arange(6), means, resamples=100)
    assert (point.low, point.high) == (0.5, 0.5)
    alone = bca_estimate(with_ones(np.array([0.2, 0.4])), np.zeros(2), means)
    assert alone.value == pytest.approx(0.3)
    assert not alone.defined
    assert alone.method == "undefined: one image"


def test_the_smallest_effect_by_hand():
    # Effects .2 and .3. Falls below them per draw: (.1, -.1), (0, 0), (-.1, .1), largest .1, 0, .1.
    draws = np.array([[0.1, 0.4], [0.2, 0.3], [0.3, 0.2]])
    found = smallest_effect(Bootstrap(np.array([0.2, 0.3]), draws, 30, 90), level=0.5)
    assert found.value == 0.2
    # Quarter quantiles of (.1, .2, .3) and (.2, .3, .4) are .15 and .25; the .75 quantile of (0,
    # .1, .1) is .1.
    assert (found.low, found.high) == pytest.approx((0.15, 0.3))
    assert (found.n_images, found.n) == (30, 90)
    assert "reselection among 2" in found.method
    assert not smallest_effect(Bootstrap(np.array([0.2]), np.empty((0, 1)), 1, 9)).defined


@pytest.mark.parametrize(("n_rivals", "gap"), [(1, 0.0), (10, 0.0), (10, 0.5)])
def test_a_lead_over_the_best_of_many_keeps_its_level(n_rivals, gap):
    # The true smallest lead is 0: either all rivals tie with ours, or the first ties and the others
    # lag behind.
    rng, above, below, naive = np.random.default_rng(2), 0, 0, 0
    lag = np.where(np.arange(n_rivals) > 0, gap, 0.0)
    for run in range(300):
        values = rng.normal(size=(40, n_rivals + 1))
        leads = bootstrap_means(
            values[:, :1] - values[:, 1:] + lag, np.arange(40), resamples=400, seed=run
        )
        found = smallest_effect(leads)
        above, below = above + (found.low > 0), below + (found.high < 0)
        naive += np.quantile(leads.draws.min(axis=1), 0.975) < 0
    assert above / 300 <= 0.06
    assert below / 300 <= 0.06
    assert (naive / 300 > 0.3) == (n_rivals == 10 and gap == 0)


def test_minimum_detectable_effect_of_a_paired_mean():
    rng = np.random.default_rng(3)
    difference = rng.normal(0, 0.2, 400)
    found = minimum_detectable(bootstrap_means(difference[:, None], np.arange(400)))[0]
    assert found == pytest.approx(2.8 * difference.std() / np.sqrt(400), rel=0.03)
    by_power = TTestPower().solve_power(nobs=400, alpha=0.05, power=0.8) * difference.std()
    assert found == pytest.approx(by_power, rel=0.03)
    values, ids = clustered(rng)
    clustered_error = values.reshape(40, 4).mean(1).std() / np.sqrt(40)
    assert minimum_detectable(bootstrap_means(values[:, None], ids))[0] == pytest.approx(
        2.8 * clustered_error, rel=0.03
    )
    assert np.isnan(minimum_detectable(bootstrap_means(np.ones((2, 1)), np.zeros(2)))[0])
