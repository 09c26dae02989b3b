"""Intervals that resample images: against scipy, hand-worked answers and simulation."""

import numpy as np
import pandas as pd
import pytest
from planted import clustered
from scipy import stats

from litelvlm.analysis.runs.claims import verdict
from litelvlm.analysis.stats.bootstrap import (
    bootstrap,
    bootstrap_means,
    contrast,
    mean_estimate,
    means,
    ratios,
)
from litelvlm.analysis.stats.nested import nested_bootstrap


def nested_mean(values, levels, resamples=1000):
    """Mean with the interval of a nested bootstrap."""
    columns = np.column_stack([values, np.ones(len(values))])
    return nested_bootstrap(columns, levels, means, resamples).estimates()[0]


def test_bootstrap_agrees_with_scipy_when_each_image_has_one_sample():
    values = np.random.default_rng(3).normal(size=80)
    ours = mean_estimate(values, np.arange(80))
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", rng=0, n_resamples=20_000
    ).confidence_interval
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
    # Percentile intervals of 40 image means are a little short (0.94 here); ignoring the clusters
    # covers 0.71.
    assert 0.93 <= by_image / n_runs <= 0.97
    assert by_expression / n_runs < 0.80


def test_ratio_of_sums_and_paired_contrast_by_hand():
    # cIoU = (1 + 3) / (2 + 8) and (2 + 2) / (4 + 4).
    inter = np.array([[1.0, 2.0], [3.0, 2.0]])
    union = np.array([[2.0, 4.0], [8.0, 4.0]])
    ids = np.array([7, 9])
    result = bootstrap(np.column_stack([inter, union]), ids, ratios, resamples=2000)
    assert result.value == pytest.approx([0.4, 0.5])
    # Resamples of two images: both first (.5, .5), both second (.375, .5), one of each (.4, .5).
    assert set(np.round(result.draws[:, 0], 6)) == {0.5, 0.375, 0.4}
    difference = contrast(result, lambda v: v[:, :1] - v[:, 1:])
    assert difference.value[0] == pytest.approx(-0.1)


def test_ratio_is_recomputed_in_every_resample():
    rng = np.random.default_rng(5)
    ids = np.repeat(np.arange(30), 2)
    union = rng.integers(10, 1000, 60).astype(float)
    inter = union * rng.random(60)
    draws = bootstrap(np.column_stack([inter, union]), ids, ratios, resamples=50, seed=3).draws[
        :, 0
    ]
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


def test_nan_is_refused_with_its_sample():
    with pytest.raises(ValueError, match="sample 2"):
        mean_estimate(np.array([0.0, 1.0, np.nan]), np.arange(3))
    with pytest.raises(ValueError, match="sample 1"):
        nested_mean(np.array([0.0, np.inf]), [np.arange(2)])


def test_columns_of_a_data_frame_are_taken():
    rows = pd.DataFrame({"iou": [0.5, 0.7, 0.9], "p50": [True, True, False], "image_id": [1, 1, 2]})
    ids = rows["image_id"].to_numpy()
    assert mean_estimate(rows["iou"], rows["image_id"]) == mean_estimate(
        rows["iou"].to_numpy(), ids
    )
    both = bootstrap_means(rows[["iou", "p50"]], rows["image_id"]).estimates()
    assert both[1] == mean_estimate(rows["p50"].to_list(), ids.tolist())


@pytest.mark.parametrize("ids", [np.array([1.0, np.nan, np.nan]), np.array(["a", None, "b"])])
def test_samples_without_an_image_are_refused_and_not_made_one_image(ids):
    with pytest.raises(ValueError, match="sample 1 has no image id"):
        mean_estimate(np.arange(3.0), ids)


def test_nested_bootstrap_variance_on_a_balanced_design():
    # A draw of the mean of m images with k rows each has variance between / m + mean of within / (m
    # k).
    rng = np.random.default_rng(8)
    images = np.repeat(np.arange(20), 5)
    values = rng.normal(0, 1, 20)[images] + rng.normal(0, 2, 100)
    table = values.reshape(20, 5)
    expected = np.sqrt(table.mean(1).var() / 20 + table.var(1).mean() / 100)
    estimate = nested_mean(values, [images], resamples=20_000)
    assert (estimate.high - estimate.low) / (2 * 1.96) == pytest.approx(expected, rel=0.05)


def test_nested_bootstrap_of_a_ratio():
    # One expression per image and one seed per expression leave only the images to draw.
    rng = np.random.default_rng(13)
    union = rng.integers(10, 1000, 60).astype(float)
    columns = np.column_stack([union * rng.random(60), union])
    ids = np.arange(60)
    nested = nested_bootstrap(columns, [ids, ids, ids], ratios, resamples=4000).estimates()[0]
    flat = bootstrap(columns, ids, ratios, resamples=4000).estimates()[0]
    assert nested.value == pytest.approx(columns[:, 0].sum() / columns[:, 1].sum(), abs=1e-12)
    assert (nested.low, nested.high) == pytest.approx((flat.low, flat.high), abs=0.01)
    # Two seeds that differ add to the interval; the mean over both does not.
    seeds = np.concatenate([columns, columns * [0.5, 1.0]])
    noisy = nested_bootstrap(
        seeds, [np.tile(ids, 2), np.repeat([0, 1], 60)], ratios, resamples=4000
    ).estimates()[0]
    mean = bootstrap(seeds, np.tile(ids, 2), ratios, resamples=4000).estimates()[0]
    assert noisy.high - noisy.low > 1.05 * (mean.high - mean.low)
    one = nested_bootstrap(columns[:1], [ids[:1]], ratios)
    assert one.draws.shape == (0, 1)
    assert not one.estimates()[0].defined
