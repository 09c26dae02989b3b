"""Masks, labels and key columns of an expression, and why some expressions cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from litelvlm.analysis.inputs.labels import IN_COVERAGE, skip_reason
from litelvlm.analysis.runs.columns import Row
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample, clean
from litelvlm.data.refs import NO_TARGET as NOTHING
from litelvlm.layout import Layout
from litelvlm.metrics import object_pixels
from litelvlm.models.base import ImageView, StudiedModel

NO_TARGET = "expression without a target"
NO_OUTLINE = "target without an outline"
NO_WORDS = "expression without words"
CONTROL_WORDS = "expression that spells a control token of the prompt"
NOT_DRAWN = "expression that no draw asked"


def target_mask(sample: Sample, expression: Expression) -> Array:
    """Target mask [height, width] of an image: 1 where any polygon covers, 0 elsewhere."""
    mask: Array = object_pixels(sample.mask(expression)).astype(np.uint8)
    return mask


def target_masks(sample: Sample, expression: Expression) -> Array:
    """Target masks [frames, height, width] of a clip: 1 where any polygon covers, 0 elsewhere."""
    masks: Array = object_pixels(sample.masks(expression)).astype(np.uint8)
    return masks


def view_of(model: StudiedModel, sample: Sample) -> ImageView:
    """Where the visual tokens of a sample lie; runs no model."""
    return model.clip_view(sample.height, sample.width, sample.frames)


def token_coverage(masks: Array, model: StudiedModel) -> Float[Array, "n"]:
    """Share of each token's patch that a mask covers, flat in the order of the tokens.

    Args:
        masks: Mask of an image [height, width], or those of a clip [frames, height, width].
        model: Whose tokens they are.
    """
    planes = masks.reshape(-1, *masks.shape[-2:])
    frames, height, width = planes.shape
    return model.clip_view(height, width, frames).coverage(planes)


def layouts_of(model: StudiedModel, data: Dataset) -> frozenset[Layout]:
    """How the visual tokens of the images of a split lie.

    Raises:
        ValueError: If there is no image.
    """
    if not len(data):
        raise ValueError("the data set has no images; choose another split")
    sizes = {(s.height, s.width, s.frames) for s in (data[i] for i in range(len(data)))}
    return frozenset(model.clip_view(*size).layout for size in sizes)


def token_counts(model: StudiedModel, data: Dataset) -> tuple[int, ...]:
    """How many visual tokens images of a split have: each number once, fewest first.

    Raises:
        ValueError: If there is no image.
    """
    return tuple(sorted({layout.n_tokens for layout in layouts_of(model, data)}))


def fewest_tokens(model: StudiedModel, data: Dataset) -> int:
    """Visual tokens of the image that has fewest: what budgets must fit."""
    return token_counts(model, data)[0]


def key_columns(
    data: Dataset, sample: Sample, expression: Expression, masks: Array, view: ImageView
) -> Row:
    """Columns that name an expression and describe its target as the visual tokens see it."""
    still = {"frame": sample.frame_of_clip, "moment": sample.moment_of_clip}
    return (still if sample.frame_of_clip is not None else {}) | {
        "dataset": data.name,
        "split": data.split,
        "image_id": int(sample.image_id),
        "ref_id": int(expression.ref_id),
        "sent_id": int(expression.sent_id),
        "ann_id": int(expression.ann_ids[0]),
        "category_id": int(expression.category_id[0]) if expression.category_id else -1,
        "kind": expression.kind or "unspecified",
        "n_words": len(expression.sent.split()),
        "area_frac": float(masks.mean()),
        "visible_frac": view.visible_fraction(masks),
    }


def category_name(data: Dataset, expression: Expression) -> str:
    """Name of the referent's category, 'several', or 'not stated'.

    Data without a table of names give the number.
    """
    meant = set(expression.category_id)
    if len(meant) == 1:
        (only,) = meant
        return str(data.categories.get(only, only))
    return "several" if meant else "not stated"


def label_columns(covered: Float[Array, "n"]) -> Row:
    """Columns with the number of tokens in a mask, and whether one token stands for a tiny mask.

    Example:
        >>> label_columns(np.array([0.9, 0.3, 0.6])), label_columns(np.array([0.1, 0.3, 0.0]))
        ({'n_in': 2, 'tiny': False}, {'n_in': 1, 'tiny': True})
    """
    n_in = int((covered >= IN_COVERAGE).sum())
    tiny = not n_in and bool(covered.any())
    return {"n_in": n_in + tiny, "tiny": tiny}


def target_columns(
    data: Dataset,
    sample: Sample,
    expression: Expression,
    masks: Array,
    covered: Float[Array, "n"],
    view: ImageView,
) -> Row:
    """``key_columns`` and ``label_columns`` with the name of the referent's category."""
    named = {"category": category_name(data, expression)}
    return key_columns(data, sample, expression, masks, view) | label_columns(covered) | named


def untargeted(expression: Expression, mask: Array) -> str | None:
    """Why an expression has no target pixel: no target, or no outline; None if it has one."""
    if mask.any():
        return None
    return NO_TARGET if NOTHING in expression.ann_ids else NO_OUTLINE


def without_outline(sample: Sample, expression: Expression, masks: Array) -> bool:
    """Whether the objects that an expression names have no pixel in any frame of their clip.

    Args:
        sample: The image or clip, or a still of one.
        expression: About it.
        masks: Its target masks in the sample.
    """
    if untargeted(expression, masks) != NO_OUTLINE:
        return False
    return not any(object_pixels(found).any() for found in sample.masks_of_clip(expression))


def same_words(first: str, second: str) -> bool:
    """Whether two expressions say the same, letter case and spaces aside.

    Example:
        >>> same_words("Left  one", "left one "), same_words("left one", "one left")
        (True, False)
    """
    return first.lower().split() == second.lower().split()


def unaskable(expression: Expression) -> str | None:
    """Why no question can be asked about an expression; None if one can."""
    try:
        clean(expression.sent)
    except ValueError:
        return CONTROL_WORDS if expression.sent.strip() else NO_WORDS
    return None


def askable(sample: Sample) -> tuple[Sample, tuple[str, ...]]:
    """The image with those expressions that can be asked, and why each other one cannot."""
    reasons = [unaskable(expression) for expression in sample.expressions]
    kept = tuple(e for e, reason in zip(sample.expressions, reasons, strict=True) if reason is None)
    return sample.with_expressions(kept), tuple(reason for reason in reasons if reason is not None)


@contextmanager
def naming(sample: Sample, expression: Expression) -> Iterator[None]:
    """Say in the message of a ``ValueError`` which expression it is about.

    Raises:
        ValueError: With the image and the expression in front of the original message.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"image_id {sample.image_id}, sent_id {expression.sent_id}: {error}"
        ) from error


class LabelledExpression(NamedTuple):
    """One expression of an image whose target can be labelled.

    Attributes:
        number: Place among the image's expressions.
        expression: The expression.
        keys: Columns that name it.
        covered: Share of each token's patch that its mask covers.
    """

    number: int
    expression: Expression
    keys: Row
    covered: Float[Array, "n"]


def image_targets(
    data: Dataset, model: StudiedModel, sample: Sample, clip: str = ""
) -> tuple[list[LabelledExpression], tuple[str, ...]]:
    """Expressions that can be labelled, and why the others cannot.

    Args:
        data: The split.
        model: Whose token grid decides.
        sample: The image.
        clip: Name of another CLIP model; empty for the model's own.
    """
    found, skipped = list[LabelledExpression](), list[str]()
    for number, expression in enumerate(sample.expressions):
        mask = target_mask(sample, expression)
        covered = token_coverage(mask, model)
        reason = untargeted(expression, mask) or skip_reason(covered)
        if reason:
            skipped.append(reason)
            continue
        keys = target_columns(data, sample, expression, mask, covered, view_of(model, sample))
        meant, stated = set(expression.category_id), bool(expression.category_id)
        rivals = [
            ann_id
            for ann_id, annotation in sample.annotations.items()
            if annotation.category_id in meant
            and not annotation.crowd
            and ann_id not in expression.ann_ids
        ]
        keys |= {
            "clip_model": clip,
            # Several objects that are meant together count as one.
            "n_same_category": 1 + len(rivals) if stated else 0,
        }
        found.append(LabelledExpression(number, expression, keys, covered))
    return found, tuple(skipped)
