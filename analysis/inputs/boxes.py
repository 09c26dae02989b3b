"""The true box of an expression, and why some expressions have none."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from litelvlm.analysis.inputs.samples import NO_OUTLINE, NO_TARGET, askable, target_mask
from litelvlm.arrays import NDArray
from litelvlm.data.annotations import Annotation, RefDataError
from litelvlm.data.dataset import Expression, Sample
from litelvlm.data.refs import NO_TARGET as NOTHING
from litelvlm.metrics.boxes import Box, box_iou

SEVERAL = "expression that means several objects"
FITS = 0.5
"""Least IoU of a stored box with that of the mask, which no two ways of rounding come near."""


class BoxTarget(NamedTuple):
    """One expression and the box of what it means, in pixels."""

    expression: Expression
    box: Box


def box_targets(sample: Sample) -> tuple[list[BoxTarget], tuple[str, ...]]:
    """Expressions of an image that mean one object, and why the others cannot be asked.

    Raises:
        ValueError: If the box that the data state of an object does not fit its mask.
    """
    sample, skipped = askable(sample)
    found, reasons = list[BoxTarget](), list(skipped)
    for expression in sample.expressions:
        meant = set(expression.ann_ids)
        if len(meant) > 1 or NOTHING in meant:
            reasons.append(NO_TARGET if NOTHING in meant else SEVERAL)
            continue
        box = target_box(sample, expression)
        if box is None:
            reasons.append(NO_OUTLINE)
        else:
            found.append(BoxTarget(expression, box))
    return found, tuple(reasons)


def target_box(sample: Sample, expression: Expression) -> Box | None:
    """The box that the data state of the only object meant, else that of its mask.

    Raises:
        ValueError: As ``box_targets``.
    """
    annotation, mask = sample.annotations[expression.ann_ids[0]], target_mask(sample, expression)
    drawn = mask_box(mask > 0) if mask.any() else None
    if annotation.bbox is None:
        return drawn
    if drawn is not None and (reason := misfit(annotation, drawn)):
        raise RefDataError(reason)
    x, y, width, height = annotation.bbox
    stated = Box(x, y, x + width, y + height)
    return stated if stated.area else drawn


def mask_box(inside: Bool[NDArray[np.bool_], "height width"]) -> Box:
    """The box of a mask that is not empty, in pixels."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return Box(*map(float, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)))


def misfit(annotation: Annotation, drawn: Box) -> str:
    """What is wrong with the box that the data state of an object; empty if nothing is.

    Args:
        annotation: The object.
        drawn: The box of its mask.
    """
    if annotation.bbox is None:
        return ""
    x, y, width, height = annotation.bbox
    if box_iou(Box(x, y, x + width, y + height), drawn) >= FITS:
        return ""
    left, top, right, bottom = drawn
    return (
        f"annotation {annotation.ann_id} has bbox {list(annotation.bbox)} where its mask has "
        f"{[left, top, right - left, bottom - top]}, as [x, y, width, height]"
    )
