"""Scores of predicted masks: intersections, unions, cIoU, gIoU, P@t and the no-target scores of gRefCOCO.

Per expression two pixel counts are kept; every score is a function of these. The official code adds
small constants to its denominators, and that form is the default because published numbers carry
it; `exact=True` leaves them out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from litelvlm.names import check_name

Counts = Sequence[Any] | np.ndarray  # one whole number per expression
IGNORE = 255
DOUBLED = ("wrong", "object")
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
EMPTY_BELOW = 50
"""A prediction under this many pixels counts as "nothing there" in gRefCOCO."""


def scored_target(
    target: UInt8[np.ndarray, "height width"], doubled: str = "wrong"
) -> UInt8[np.ndarray, "height width"]:
    """A target in which 1 is the object and 255 is ignored, under a rule for pixels of 2 and more.

    Args:
        target: Target mask as `ReferSample.mask` gives it: polygons of one object that overlap are
            summed.
        doubled: "wrong" leaves such pixels in no class, as the official code does; "object" makes
            them 1.

    Raises:
        ValueError: If the rule is unknown.
    """
    check_name(doubled, DOUBLED, "rule for doubled pixels")
    if doubled == "wrong":
        return target
    return np.where((target > 1) & (target != IGNORE), np.uint8(1), target)


class Overlap(NamedTuple):
    """Pixels in prediction and target, and in either."""

    intersection: int
    union: int


def intersection_union(
    prediction: Bool[np.ndarray, "height width"],
    target: UInt8[np.ndarray, "target_height target_width"],
    doubled: str = "wrong",
) -> Overlap:
    """Count pixels of one expression by the official rule (LiteLVLM and GLaMM, official code).

    Target pixels of 1 are the object. Pixels of 255 are ignored on both sides. Pixels of 2 and more
    (overlapping polygons of one object) are in no class: predicting them adds to the union, not to
    the intersection.

    Args:
        prediction: Predicted mask.
        target: Target mask as `ReferSample.mask` gives it.
        doubled: Rule for pixels of 2 and more, see `scored_target`; "wrong" is the official one.

    Raises:
        ValueError: If the sizes differ, or the rule is unknown.

    Example:
        >>> tuple(intersection_union(np.array([[True, True, False]]), np.array([[1, 0, 1]], dtype=np.uint8)))
        (1, 3)
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction is {prediction.shape}, target {target.shape}; both must be (height, width)"
        )
    predicted, wanted = prediction & (target != IGNORE), scored_target(target, doubled) == 1
    intersection = int(np.count_nonzero(predicted & wanted))
    return Overlap(
        intersection, int(np.count_nonzero(predicted) + np.count_nonzero(wanted)) - intersection
    )


def _counts(intersections: Counts, unions: Counts) -> tuple[np.ndarray, np.ndarray]:
    i, u = np.asarray(intersections, dtype=np.float64), np.asarray(unions, dtype=np.float64)
    if i.shape != u.shape or i.ndim != 1 or i.size == 0:
        raise ValueError(
            f"intersections are {i.shape}, unions {u.shape}; give one of each per expression, at least one"
        )
    if (i < 0).any() or (i > u).any():
        raise ValueError(
            "an intersection is negative or larger than its union; the counts are mixed up"
        )
    return i, u


def iou(intersections: Counts, unions: Counts, exact: bool = False) -> Float[np.ndarray, " n"]:
    """IoU per expression; 1 where target and prediction are both empty.

    Args:
        intersections: Pixel counts, one per expression.
        unions: Pixel counts, one per expression.
        exact: False for the official I / (U + 1e-5), True for I / U.
    """
    i, u = _counts(intersections, unions)
    empty = u == 0
    ratio: np.ndarray = i / (np.where(empty, 1.0, u) if exact else u + 1e-5) + empty
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
    i, u = _counts(intersections, unions)
    if exact:
        return float(i.sum() / u.sum()) if u.sum() else 1.0
    return float(i.sum() / (u.sum() + 1e-10))


def precision_at(
    intersections: Counts, unions: Counts, thresholds: Sequence[float] = THRESHOLDS
) -> dict[float, float]:
    """Share of expressions whose exact IoU reaches each threshold (P@0.5 and so on; equality counts)."""
    per_expression = iou(intersections, unions, exact=True)
    return {float(t): float(np.mean(per_expression >= t)) for t in thresholds}


class NoTargetScores(NamedTuple):
    """Scores of gRefCOCO; a rate is None where no expression bears on it."""

    n_acc: float | None
    t_acc: float | None
    giou: float
    ciou: float


def n_acc(predicted: Counts, target: Counts, empty_below: int = EMPTY_BELOW) -> float | None:
    """Share of no-target expressions answered with (nearly) nothing; None if there are none.

    Args:
        predicted: Predicted pixels per expression.
        target: Target pixels per expression.
        empty_below: Fewer predicted pixels than this count as nothing.
    """
    return _rate(np.asarray(predicted) < empty_below, np.asarray(target) == 0)


def t_acc(predicted: Counts, target: Counts, empty_below: int = EMPTY_BELOW) -> float | None:
    """Share of expressions with a target answered with something; None if there are none. Arguments as `n_acc`."""
    return _rate(np.asarray(predicted) >= empty_below, np.asarray(target) > 0)


def _rate(hit: np.ndarray, among: np.ndarray) -> float | None:
    return float(hit[among].mean()) if among.any() else None


def grefcoco_scores(
    intersections: Counts,
    unions: Counts,
    predicted: Counts,
    target: Counts,
    empty_below: int = EMPTY_BELOW,
) -> NoTargetScores:
    """Scores of gRefCOCO after GRES (CVPR 2023), with exact denominators.

    A no-target expression has IoU 1 if fewer than `empty_below` pixels are predicted, else 0. A
    prediction that small counts as "no target" for every expression: with a target its IoU is 0.
    cIoU leaves out what a rightly refused expression predicted; a wrongly answered one adds its
    pixels to the union.

    Args:
        intersections: Pixel counts, one per expression.
        unions: Pixel counts, one per expression.
        predicted: Predicted pixels per expression.
        target: Target pixels per expression; 0 means no target.
        empty_below: Fewer predicted pixels than this count as nothing.
    """
    i, u = _counts(intersections, unions)
    size = np.asarray(target, dtype=np.float64)
    refused, no_target = np.asarray(predicted) < empty_below, size == 0
    i = np.where(refused, 0.0, i)
    u = np.where(refused, size, u)
    per_expression = np.where(no_target, refused, i / np.maximum(u, 1.0))
    return NoTargetScores(
        n_acc(predicted, target, empty_below),
        t_acc(predicted, target, empty_below),
        float(per_expression.mean()),
        float(i.sum() / u.sum()) if u.sum() else 1.0,
    )
