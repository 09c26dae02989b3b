"""The true box of an expression, and why some expressions have none."""

from typing import NamedTuple

import numpy as np

from litelvlm.analysis.inputs.samples import NO_OUTLINE, NO_TARGET, askable, target_mask
from litelvlm.data.annotations import RefDataError, stated_box
from litelvlm.data.dataset import Expression, Sample
from litelvlm.data.refs import NO_TARGET as NOTHING
from litelvlm.metrics.boxes import Box, box_iou

SEVERAL = "expression that means several objects"
_AGREE = 0.5  # least IoU of a stated box with its outline's; a box of another form lies elsewhere


class BoxTarget(NamedTuple):
    """One expression and the box of what it means, in pixels."""

    expression: Expression
    box: Box


def box_targets(sample: Sample) -> tuple[list[BoxTarget], tuple[str, ...]]:
    """Expressions of an image that mean one object, and why the others cannot be asked.

    Raises:
        ValueError: If an annotation's box is damaged, or is not that of its outline.
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
    """The box that the data state of the only object meant, else that of its outline.

    Raises:
        ValueError: As ``box_targets``.
    """
    mask = target_mask(sample, expression)
    outline = None
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        outline = Box(*map(float, edges))
    annotation = sample.annotations[expression.ann_ids[0]]
    stated = stated_box(annotation)
    if stated is None:
        return outline
    if outline is not None and box_iou(Box(*stated), outline) < _AGREE:
        raise RefDataError(
            f"annotation {annotation.ann_id}: bbox {annotation.bbox} is not the box of its outline "
            f"{tuple(outline)}; bbox is [x, y, width, height] in pixels"
        )
    return Box(*stated)
