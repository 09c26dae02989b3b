"""Tests of claims: paired swaps; corrections for many tests."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

from litelvlm.analysis.stats.bootstrap import (
    CHUNK_CELLS,
    RESAMPLES,
    check_finite,
    image_sums,
    ratios,
)
from litelvlm.arrays import Array


class Comparison(NamedTuple):
    """A statistic with its p-value.

    Attributes:
        statistic: What was compared with the null.
        p_value: Two-sided unless the test says otherwise.
        n: Units that could have been exchanged.
    """

    statistic: float
    p_value: float
    n: int


def paired_swap_test(
    a: Float[Array, "n c"],
    b: Float[Array, "n c"],
    image_ids: Shaped[Array, "n"],
    permutations: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Test a paired difference by swapping the two methods' labels image by image.

    Args:
        a: Per sample either one column (compared by its mean) or two (intersection, union: compared
            by cIoU).
        b: The same for the other method.
        image_ids: The image of each sample; all its samples are swapped together.
        permutations: Random swaps; the p-value is (1 + extreme) / (1 + permutations).
        seed: Of the swaps.

    Returns:
        The difference a - b, its two-sided p-value and the number of images; p is nan with one
        image.

    Raises:
        ValueError: If the shapes differ or the columns are neither one nor two.
    """
    if a.shape != b.shape or a.shape[1] not in (1, 2):
        raise ValueError(
            f"two tables of the same shape with 1 or 2 columns are needed, got {a.shape} and "
            f"{b.shape}"
        )
    if a.shape[1] == 1:
        a, b = np.column_stack([a, np.ones(len(a))]), np.column_stack([b, np.ones(len(b))])
    sums_a, sums_b = (image_sums(side.astype(np.float64), image_ids) for side in (a, b))
    n_images, total, change = len(sums_a), sums_a.sum(0) + sums_b.sum(0), sums_b - sums_a
    observed = float((ratios(sums_a.sum(0)[None]) - ratios(sums_b.sum(0)[None]))[0, 0])
    if n_images == 1:
        return Comparison(observed, float("nan"), 1)
    rng = np.random.default_rng(seed)
    step, extreme = max(1, CHUNK_CELLS // n_images), 0
    for start in range(0, permutations, step):
        swap = rng.random((min(step, permutations - start), n_images)) < 0.5
        first = sums_a.sum(0) + swap.astype(np.float64) @ change
        difference = (ratios(first) - ratios(total - first))[:, 0]
        # Equal differences must count as extreme although their sums were added in another order.
        extreme += int((np.abs(difference) >= abs(observed) - 1e-12).sum())
    return Comparison(observed, (1 + extreme) / (1 + permutations), n_images)


def holm(p_values: Float[Array, "m"]) -> Float[Array, "m"]:
    """Holm's step-down adjustment (family-wise error), in the given order.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    Example:
        >>> import numpy as np
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    check_finite(p_values, "p-values")
    order = np.argsort(p_values, kind="stable")
    scaled = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(scaled, 1.0)
    return adjusted


def benjamini_hochberg(p_values: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """Benjamini-Hochberg adjustment (false discovery rate) over all cells of a grid."""
    check_finite(p_values, "p-values")
    adjusted: Array = stats.false_discovery_control(p_values.ravel(), method="bh").reshape(
        p_values.shape
    )
    return adjusted
