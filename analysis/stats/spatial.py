"""Rank correlations of maps on the token grid, with toroidal shifts as the null.

Neighbouring tokens are alike, so tokens are no independent samples and the textbook p-value of a
correlation between two smooth maps is far too small. A toroidal shift keeps a map's smoothness and
breaks its link with the other map.
"""

import numpy as np
from jaxtyping import Float, Real
from scipy import stats

from litelvlm.analysis.stats.bootstrap import check_finite
from litelvlm.arrays import Array


def basis(n: int, covariates: Float[Array, "n c"] | None = None) -> Float[Array, "n b"]:
    """Orthonormal columns that span the constant and the covariates, without collinear ones."""
    columns = np.ones((n, 1)) if covariates is None else np.column_stack([np.ones(n), covariates])
    check_finite(columns, "covariates")
    scaled = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    kept: Array = left[:, sizes > 1e-10 * sizes[0]]
    return kept


def residual_ranks(values: Real[Array, "m n"], design: Float[Array, "n b"]) -> Float[Array, "m n"]:
    """Mid-ranks of each row minus their projection on ``design``, scaled to norm 1.

    A row that the design explains is 0.

    Raises:
        ValueError: If a value is not finite.
    """
    check_finite(values, "values")
    ranks = stats.rankdata(values, axis=1)
    rest = ranks - (ranks @ design) @ design.T
    norms = np.linalg.norm(rest, axis=1, keepdims=True)
    unexplained = norms > 1e-9 * np.linalg.norm(ranks, axis=1, keepdims=True)
    unit: Array = np.divide(rest, norms, out=np.zeros_like(rest), where=unexplained)
    return unit


def rank_correlations(first: Real[Array, "a n"], second: Real[Array, "b n"]) -> Float[Array, "a b"]:
    """Spearman correlation of every pair of rows; 0 where one is constant."""
    design = basis(first.shape[1])
    value: Array = (residual_ranks(first, design) @ residual_ranks(second, design).T).clip(-1, 1)
    return value


def shifted_correlations(
    first: Real[Array, "a n"],
    second: Real[Array, "b n"],
    grid: tuple[int, int],
    covariates: Float[Array, "n c"] | None = None,
) -> Float[Array, "a b rows cols"]:
    """Partial rank correlations, ``second`` shifted by every (down, right); [0, 0] is unshifted.

    A row that is constant, or wholly explained by the covariates, correlates 0 with everything.
    All moves at once by cross-correlation: the moved ranks' product with a residual, over the norm
    that their own fit on the unmoved covariates leaves.
    """
    design = basis(first.shape[1], covariates)
    check_finite(second, "values")
    ranks = stats.rankdata(second, axis=1)
    ranks = ranks - ranks.mean(1, keepdims=True)
    rest = residual_ranks(first, design)
    spectrum = np.conj(np.fft.rfft2(ranks.reshape(-1, *grid)))

    def moved_products(fixed: Array) -> Array:
        """Products [rows of fixed, b, rows, cols] with every moved ``second``."""
        maps = np.fft.rfft2(fixed.reshape(-1, *grid))
        products: Array = np.fft.irfft2(maps[:, None] * spectrum[None], s=grid)
        return products

    squared = (ranks**2).sum(1)[:, None, None]
    left = squared - sum(
        (moved_products(column[None])[0] ** 2 for column in design.T), np.zeros(())
    )
    unexplained = left > 1e-9 * np.maximum(squared, 1e-300)
    norms = np.sqrt(np.where(unexplained, left, 1.0))
    value: Array = np.where(unexplained, moved_products(rest) / norms, 0.0).clip(-1, 1)
    return value


def shift_p_values(correlations: Float[Array, "a b rows cols"]) -> Float[Array, "a b"]:
    """One-sided p-values: share of shifts that correlate at least as much as no shift."""
    flat = correlations.reshape(*correlations.shape[:2], -1)
    extreme = (flat[..., 1:] >= flat[..., :1] - 1e-12).sum(-1)
    p: Array = (1 + extreme) / flat.shape[-1]
    return p
