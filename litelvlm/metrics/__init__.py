"""Scores of predicted masks: pixels are counted once, and every score is made of counts."""

from litelvlm.metrics.grefcoco import (
    EMPTY_BELOW,
    GREFCOCO_SCORES,
    grefcoco_scores_of_sums,
    grefcoco_summands,
)
from litelvlm.metrics.pixels import (
    IGNORE,
    Overlap,
    PixelCounts,
    TargetPixels,
    count_pixels,
    intersection_union,
    scored_target,
)
from litelvlm.metrics.scores import THRESHOLDS, ciou, giou, iou, precision_at

__all__ = [
    "EMPTY_BELOW",
    "GREFCOCO_SCORES",
    "IGNORE",
    "THRESHOLDS",
    "Overlap",
    "PixelCounts",
    "TargetPixels",
    "ciou",
    "count_pixels",
    "giou",
    "grefcoco_scores_of_sums",
    "grefcoco_summands",
    "intersection_union",
    "iou",
    "precision_at",
    "scored_target",
]
