"""Expressions of an image whose targets can be labelled on the token grid."""

from typing import NamedTuple

from jaxtyping import Float

from litelvlm.analysis.inputs.labels import skip_reason
from litelvlm.analysis.inputs.samples import (
    category_name,
    key_columns,
    label_columns,
    target_mask,
    token_coverage,
    untargeted,
    view_of,
)
from litelvlm.analysis.runs.columns import Row
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.models.base import StudiedModel


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
        keys = key_columns(data, sample, expression, mask, view_of(model, sample)) | label_columns(
            covered
        )
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
            "category": category_name(data, expression),
            # Several objects that are meant together count as one.
            "n_same_category": 1 + len(rivals) if stated else 0,
        }
        found.append(LabelledExpression(number, expression, keys, covered))
    return found, tuple(skipped)
