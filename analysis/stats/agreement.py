"""How far two token rankings agree: what is held fixed, overlap at the top, and ceilings."""

import numpy as np
from jaxtyping import Float, Int, Real
from scipy import stats

from litelvlm.analysis.stats.bootstrap import check_finite
from litelvlm.arrays import Array

USABLE = 0.2  # below this reliability nothing is said of a ceiling


def grid_covariates(grid: tuple[int, int]) -> Float[Array, "n 7"]:
    """Position of each token: x, y, x², y², x y, rank of its distance from the centre, border.

    The distance is a rank since a score that it explains is one too.
    """
    rows, cols = grid
    row, col = np.divmod(np.arange(rows * cols), cols)
    y, x = (row - (rows - 1) / 2) / rows, (col - (cols - 1) / 2) / cols
    border = (row == 0) | (row == rows - 1) | (col == 0) | (col == cols - 1)
    distance = mid_ranks(np.round(np.hypot(x, y), 12))  # tokens at one distance share a rank
    return np.column_stack([x, y, x**2, y**2, x * y, distance, border.astype(np.float64)])


def mid_ranks(values: Real[Array, "n"]) -> Float[Array, "n"]:
    """Ranks from 1/n to 1, of ties their mean."""
    ranks: Array = stats.rankdata(values) / len(values)
    return ranks


def _agreement(first: Int[Array, "n"], second: Int[Array, "m"], k: int) -> Float[Array, "k"]:
    """Shared share of the two top-d lists for d = 1 to k."""
    _, places, others = np.intersect1d(
        first[:k], second[:k], assume_unique=True, return_indices=True
    )
    # A token is shared from the depth on at which the later of its two places has been reached.
    found = np.bincount(np.maximum(places, others), minlength=k).cumsum()
    value: Array = found / np.arange(1, k + 1)
    return value


def rank_biased_overlap(first: Int[Array, "n"], second: Int[Array, "m"], k: int) -> float:
    """Extrapolated rank-biased overlap of two orders to depth k, with p = 1 - 1/k; best first.

    Source: Webber, Moffat and Zobel 2010, A similarity measure for indefinite rankings,
        extrapolated form.
    """
    return _extrapolated(_agreement(first, second, _depth(k, min(len(first), len(second)))))


def rbo_chance(n_tokens: int, k: int) -> float:
    """Expected rank-biased overlap of two random orders: the agreement at depth d is d / N."""
    return _extrapolated(np.arange(1, _depth(k, n_tokens) + 1) / n_tokens)


def _extrapolated(agreement: Float[Array, "k"]) -> float:
    """Weighted sum of agreements over depths, the last one standing for all deeper ones."""
    k = len(agreement)
    p = 1 - 1 / k
    return float(agreement[-1] * p**k + (1 - p) * (p ** np.arange(k) * agreement).sum())


def _depth(k: int, limit: int) -> int:
    if not 1 <= k <= limit:
        raise ValueError(
            f"the depth must be between 1 and {limit}, the tokens that are ranked, got {k}"
        )
    return k


def top_k_iou(first: Int[Array, "n"], second: Int[Array, "m"], k: int) -> float:
    """Intersection over union of the first k tokens of two orders."""
    _depth(k, min(len(first), len(second)))
    shared = len(np.intersect1d(first[:k], second[:k]))
    return shared / (2 * k - shared)


def top_k_iou_chance(n_tokens: int, k: int) -> float:
    """Expected overlap of two random sets of k of N tokens, whose intersection is hypergeometric.

    Example:
        >>> round(top_k_iou_chance(144, 16), 4), top_k_iou_chance(5, 5)
        (0.0605, 1.0)
    """
    _depth(k, n_tokens)
    shared = np.arange(max(0, 2 * k - n_tokens), k + 1)
    return float((stats.hypergeom(n_tokens, k, k).pmf(shared) * shared / (2 * k - shared)).sum())


def chance_corrected(value: float, chance: float) -> float:
    """(value - chance) / (1 - chance): 0 at chance, 1 at full agreement; nan if chance is 1."""
    return (value - chance) / (1 - chance) if chance < 1 else float("nan")


def reliability(first: Real[Array, "n"], second: Real[Array, "n"]) -> float:
    """Reliability of one of two measurements of a signal: their Spearman correlation.

    It is nan where one is constant.

    Raises:
        ValueError: If a value is not finite.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    check_finite(first, "first measurement")
    check_finite(second, "second measurement")
    return float(stats.spearmanr(first, second).statistic)


def stepped_up(half: float) -> float:
    """Reliability of the mean of two measurements from that of one, after Spearman and Brown.

    Example:
        >>> stepped_up(0.5), stepped_up(-1.0), stepped_up(float("nan"))
        (0.6666666666666666, -inf, nan)
    """
    return float("-inf") if half <= -1 else 2 * half / (1 + half)


def ceiling_of(first: float, second: float) -> float:
    """Largest correlation that two reliabilities allow; nan if one is unknown or below 0.2.

    A correlation divided by it is disattenuated.

    Source: Spearman 1904, The proof and measurement of association between two things.

    Example:
        >>> ceiling_of(0.5, 0.5), ceiling_of(0.9, 0.1)
        (0.5, nan)
    """
    return float(np.sqrt(first * second)) if first >= USABLE and second >= USABLE else float("nan")
