"""Resampling at several levels: images, then what they hold, then what that holds."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Shaped

from litelvlm.analysis.stats.bootstrap import (
    CHUNK_CELLS,
    RESAMPLES,
    Bootstrap,
    Statistic,
    check_finite,
)
from litelvlm.arrays import Array


def nested_bootstrap(
    columns: Float[Array, "n c"],
    levels: Sequence[Shaped[Array, "n"]],
    statistic: Statistic,
    resamples: int = RESAMPLES,
) -> Bootstrap:
    """Resample images, then expressions of each, then seeds of each, with replacement.

    Args:
        columns: One row per measurement.
        levels: Outermost first, for instance (image ids, expression ids, seeds); the rows of one
            innermost group are drawn last if the ids of the last level are not unique.
        statistic: From column sums [b, c] to values [b, k].
        resamples: Number of draws.

    Raises:
        ValueError: If a value is not finite.
    """
    columns = np.asarray(columns, dtype=np.float64)
    check_finite(columns, "values")
    value = statistic(columns.sum(0, keepdims=True))[0]
    ids = np.column_stack([np.unique(level, return_inverse=True)[1] for level in levels])
    order = np.lexsort(ids.T[::-1])
    columns, ids = columns[order], ids[order]
    # starts[d] holds the first row of each group that shares the first d + 1 ids.
    starts = [
        np.flatnonzero(np.r_[True, (ids[1:, : depth + 1] != ids[:-1, : depth + 1]).any(1)])
        for depth in range(len(levels))
    ]
    n_images = len(starts[0])
    if n_images == 1:
        return Bootstrap(value, np.empty((0, len(value))), 1, len(columns))
    starts.append(np.arange(len(columns)))
    children = [
        (np.searchsorted(inner, outer), np.diff(np.searchsorted(inner, np.r_[outer, len(columns)])))
        for outer, inner in pairwise(starts)
    ]
    rng = np.random.default_rng(0)
    step = max(1, CHUNK_CELLS // (8 * len(columns)))
    draws = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        picked, owner = (
            rng.integers(0, n_images, size=size * n_images),
            np.repeat(np.arange(size), n_images),
        )
        for first, count in children:
            n_children = count[picked]
            base = np.repeat(first[picked], n_children)
            owner, width = np.repeat(owner, n_children), np.repeat(n_children, n_children)
            picked = base + (rng.random(len(base)) * width).astype(np.int64)
        totals = [
            np.bincount(owner, weights=column[picked], minlength=size) for column in columns.T
        ]
        draws.append(statistic(np.column_stack(totals)))
    return Bootstrap(value, np.concatenate(draws), n_images, len(columns))
