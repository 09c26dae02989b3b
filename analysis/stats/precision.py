"""Checks of intervals: a second kind, a reselected rival, and the smallest detectable effect."""

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from litelvlm.analysis.stats.bootstrap import (
    LEVEL,
    ONE_IMAGE,
    RESAMPLES,
    Bootstrap,
    Estimate,
    Statistic,
    image_sums,
)
from litelvlm.arrays import Array

_BATCH_CELLS = 4_000_000  # numbers gathered at once (32 MB)


def bca_estimate(
    columns: Float[Array, "n c"],
    image_ids: Shaped[Array, "n"],
    statistic: Statistic,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Bias-corrected and accelerated interval over images, to check the percentile interval.

    Args:
        columns: One row per sample, as for ``bootstrap``.
        image_ids: The image of each sample.
        statistic: From column sums [b, c] to one value each [b, 1].
        resamples: Number of draws.
        seed: Of the draws.

    Returns:
        Value and 95 % interval; none with one image, and a point if leaving out any image changes
        nothing.

    Source: Efron 1987, Better bootstrap confidence intervals; computed by
        ``scipy.stats.bootstrap``.
    """
    sums = image_sums(columns, image_ids)
    total, n_images = sums.sum(0, keepdims=True), len(sums)
    value = float(statistic(total)[0, 0])
    if n_images == 1:
        return Estimate(value, np.nan, np.nan, 1, len(columns), ONE_IMAGE)
    if np.ptp(statistic(total - sums)) < 1e-12:  # bias and acceleration would be 0 / 0
        method = "95% BCa image bootstrap, no spread"
        return Estimate(value, value, value, n_images, len(columns), method)

    def of_images(index: Int[Array, "*b images"], axis: int) -> Float[Array, "*b"]:
        totals = sums[np.moveaxis(index, axis, -1)].sum(axis=-2)
        result: Array = statistic(totals.reshape(-1, sums.shape[1]))[:, 0].reshape(
            totals.shape[:-1]
        )
        return result

    found = stats.bootstrap(
        (np.arange(n_images),),
        of_images,
        n_resamples=resamples,
        batch=max(1, _BATCH_CELLS // sums.size),
        vectorized=True,
        method="BCa",
        rng=seed,
    ).confidence_interval
    method = f"95% BCa image bootstrap, B={resamples}"
    return Estimate(value, float(found.low), float(found.high), n_images, len(columns), method)


def smallest_effect(effects: Bootstrap) -> Estimate:
    """The smallest of several paired effects, such as the lead over the best of several rivals.

    Which rival is best is itself uncertain. The lower end is the lowest of the single lower ends:
    the smallest effect lies above a value if each one does, so no correction is due
    (intersection-union). For the upper end the rival is
    picked anew on every draw: it is the estimate plus the quantile, over draws, of the largest fall
    of any effect below its own estimate. The plain percentile interval of the minimum is not used,
    for it is biased downwards twice: with ten equal rivals and 40 images it denies a true tie in 47
    % of simulated studies, this one in less than 2.5 %.

    Args:
        effects: One column per rival.

    Example:
        >>> draws = np.array([[0.1, 0.4], [0.2, 0.3], [0.3, 0.2]])
        >>> smallest_effect(Bootstrap(np.array([0.2, 0.3]), draws, 3, 3)).value
        0.2
    """
    value = float(effects.value.min())
    if not len(effects.draws):
        return effects.undefined(value, ONE_IMAGE)
    low = float(np.quantile(effects.draws, (1 - LEVEL) / 2, axis=0).min())
    fall = float(np.quantile((effects.value - effects.draws).max(axis=1), (1 + LEVEL) / 2))
    method = (
        f"{LEVEL:.0%} image bootstrap with reselection among {len(effects.value)}, "
        f"B={len(effects.draws)}"
    )
    return Estimate(value, low, value + max(fall, 0.0), effects.n_images, effects.n, method)


def minimum_detectable(result: Bootstrap) -> Float[Array, "k"]:
    """Smallest effect that a two-sided test at 5 % detects with a power of 0.8; nan with one image.

    It is z_.975 + z_.8 = 2.80 standard errors: for a mean difference over images of equal weight,
    2.80 SD_d / sqrt(n_images).
    """
    if not len(result.draws):
        return np.full(len(result.value), np.nan)
    error: Array = result.draws.std(axis=0)
    return error * float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
