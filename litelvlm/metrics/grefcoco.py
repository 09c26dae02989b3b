"""Scores of gRefCOCO, where an expression may have no target in the image.

Source: Liu et al., GRES (CVPR 2023), with exact denominators. A prediction of few pixels counts as
a refusal ("no target"). Every score is a ratio of sums over expressions, so a study that resamples
expressions needs the summands only.
"""

import numpy as np
from jaxtyping import Bool, Float

from litelvlm.arrays import NDArray
from litelvlm.metrics.scores import Counts, Floats, checked_counts

EMPTY_BELOW = 50
"""A prediction under this many pixels counts as "nothing there"."""


GREFCOCO_SCORES = ("n_acc", "t_acc", "giou", "ciou")
"""Names of the scores: the share of the expressions without a target that are refused, the share of
the others that are not, the mean IoU over expressions, and the IoU of all their pixels together."""


def grefcoco_summands(
    intersections: Counts,
    unions: Counts,
    predicted: Counts,
    target: Counts,
    no_target: Bool[NDArray[np.bool_], " n"],
    empty_below: int = EMPTY_BELOW,
) -> Float[NDArray[np.float64], "n 7"]:
    """Give what each expression adds to the sums that `grefcoco_scores_of_sums` takes.

    A no-target expression has IoU 1 if it is refused, else 0. An expression with a target that is
    refused has IoU 0. A refusal predicts no pixel: a right one adds nothing to the union, a wrong
    one adds the target. A wrongly answered no-target expression adds its prediction to the union.

    Args:
        intersections: Pixel counts, one per expression.
        unions: Pixel counts, one per expression.
        predicted: Predicted pixels per expression.
        target: Target pixels per expression.
        no_target: Which expressions have no target in their image. Counts cannot decide this: an
            object whose pixels are all doubled has no scored pixel, and is a target.
        empty_below: Fewer predicted pixels than this count as a refusal.

    Returns:
        Columns: without target (0 or 1), rightly refused, with target, rightly answered, IoU,
        intersection, union.
    """
    intersection, union = checked_counts(intersections, unions)
    size = np.asarray(target, dtype=np.float64)
    refused = np.asarray(predicted) < empty_below
    intersection, union = np.where(refused, 0.0, intersection), np.where(refused, size, union)
    iou = np.where(no_target, refused, intersection / np.maximum(union, 1.0))
    rightly_refused, rightly_answered = no_target & refused, ~no_target & ~refused
    columns = np.column_stack(
        [no_target, rightly_refused, ~no_target, rightly_answered, iou, intersection, union]
    )
    return columns.astype(np.float64)


def grefcoco_scores_of_sums(
    sums: Float[NDArray[np.float64], "b 7"],
) -> Float[NDArray[np.float64], "b 4"]:
    """Turn sums of `grefcoco_summands` into N-acc, T-acc, gIoU and cIoU.

    Args:
        sums: Column sums over expressions, one row per (resampled) set of expressions.

    Returns:
        Scores in the order of `GREFCOCO_SCORES`; NaN where no expression counts for a rate. cIoU is
        1 where the union is empty.
    """
    empty, refused, meant, answered, iou, intersection, union = sums.T
    ciou = np.where(union > 0, _ratio(intersection, union), 1.0)
    scores: Floats = np.stack(
        [_ratio(refused, empty), _ratio(answered, meant), iou / (empty + meant), ciou], axis=-1
    )
    return scores


def _ratio(top: Floats, bottom: Floats) -> Floats:
    quotient: Floats = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
    return quotient
