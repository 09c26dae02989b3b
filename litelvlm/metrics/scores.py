"""IoU, gIoU, cIoU and P@t from two pixel counts per expression.

The official code adds small constants to its denominators. That form is the default, because
published numbers carry it; `exact=True` leaves them out.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from litelvlm.arrays import NDArray

Floats = NDArray[np.float64]
Counts = Sequence[int] | NDArray[np.int64] | NDArray[np.int32] | Floats
"""One whole number per expression."""
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def checked_counts(intersections: Counts, unions: Counts) -> tuple[Floats, Floats]:
    """Give both counts as float64 [n].

    Raises:
        ValueError: If there is no expression, or the counts cannot belong together.
    """
    i, u = np.asarray(intersections, dtype=np.float64), np.asarray(unions, dtype=np.float64)
    if i.shape != u.shape or i.ndim != 1 or i.size == 0:
        raise ValueError(
            f"intersections are {i.shape}, unions {u.shape}; "
            "give one of each per expression, at least one"
        )
    if (i < 0).any() or (i > u).any():
        raise ValueError(
            "an intersection is negative or larger than its union; the counts are mixed up"
        )
    return i, u


def iou(
    intersections: Counts, unions: Counts, exact: bool = False
) -> Float[NDArray[np.float64], " n"]:
    """IoU per expression; 1 where target and prediction are both empty.

    Args:
        intersections: Pixel counts, one per expression.
        unions: Pixel counts, one per expression.
        exact: False for the official I / (U + 1e-5), True for I / U.
    """
    i, u = checked_counts(intersections, unions)
    empty = u == 0
    ratio: Floats = i / (np.where(empty, 1.0, u) if exact else u + 1e-5) + empty
    return ratio


def giou(intersections: Counts, unions: Counts, exact: bool = False) -> float:
    """Mean IoU over expressions, called gIoU by GLaMM; the official form divides by n + 1e-5."""
    per_expression = iou(intersections, unions, exact)
    return float(per_expression.sum() / (per_expression.size + (0.0 if exact else 1e-5)))


def ciou(intersections: Counts, unions: Counts, exact: bool = False) -> float:
    """Sum of intersections over sum of unions; the official form adds 1e-10 to the denominator.

    Without any predicted or target pixel the official form gives 0, the exact one 1, as for a
    single expression.
    """
    i, u = checked_counts(intersections, unions)
    if exact:
        return float(i.sum() / u.sum()) if u.sum() else 1.0
    return float(i.sum() / (u.sum() + 1e-10))
