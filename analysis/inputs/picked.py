"""Which expressions an expensive study reads, one per image, and each as a query to the model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.labels import HIDDEN, MIN_VISIBLE, skip_reason
from litelvlm.analysis.inputs.samples import (
    target_columns,
    target_mask,
    token_coverage,
    unaskable,
    untargeted,
)
from litelvlm.analysis.inputs.subset import DataPart, middles
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.formatting import counted
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.models.attribution import TokenQuery, TokenTargets
from litelvlm.models.base import QueriedModel, StudiedModel


class PickedExpressions(DataPart):
    """A data set of one expression per image, as engine and studies see any data set.

    Its name, split and digest are those of the whole: which expressions are picked follows from
    them and the configuration.

    Args:
        data: The whole split.
        picked: (image, expression) indices into it, in order of image.
        passed_over: How many expressions could not be picked, by reason.
    """

    def __init__(
        self,
        data: Dataset,
        picked: Sequence[tuple[int, int]],
        passed_over: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(data, [image for image, _ in picked])
        self.picked, self.passed_over = tuple(picked), dict(passed_over or {})

    @property
    def notes(self) -> tuple[str, ...]:
        """What the record says about the choice."""
        return (
            (f"expressions passed over: {counted(self.passed_over)}",) if self.passed_over else ()
        )

    def __getitem__(self, index: int, /) -> Sample:
        """One image with its one expression."""
        sample = super().__getitem__(index)
        return sample.with_expressions((sample.expressions[self.picked[index][1]],))


def pick(data: Dataset, model: StudiedModel, images: int | None, seed: int) -> PickedExpressions:
    """Choose one random expression of each image, and images evenly spaced by the target's area.

    Expressions that cannot be asked or labelled are passed over and counted. An image without
    another expression is passed over too.

    Args:
        data: The split.
        model: Whose token grid decides what can be labelled.
        images: How many; None takes all.
        seed: Of the choice.

    Raises:
        ValueError: If no expression of the split can be used.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[float, int, int]] = []
    passed_over: Counter[str] = Counter()
    for image in range(len(data)):
        sample = data[image]
        for number in rng.permutation(len(sample.expressions)).tolist():
            mask = target_mask(sample, sample.expressions[number])
            reason = unusable(sample.expressions[number], mask, model)
            if reason is None:
                found.append((float(mask.mean()), image, number))
                break
            passed_over[reason] += 1
    if not found:
        raise ValueError(
            f"no expression of this split can be used ({counted(passed_over)}); "
            "choose another split"
        )
    found.sort()
    chosen = [
        found[place] for place in middles(len(found), len(found) if images is None else images)
    ]
    return PickedExpressions(
        data, sorted((image, number) for _, image, number in chosen), passed_over
    )


def unusable(expression: Expression, mask: Array, model: StudiedModel) -> str | None:
    """Why token importance cannot be measured for an expression; None if it can."""
    reason = unaskable(expression) or untargeted(expression, mask)
    return reason or skip_reason(token_coverage(mask, model))


def primary(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows whose referent is at least half visible, and how many expressions this excludes."""
    visible = rows["visible_frac"] >= MIN_VISIBLE
    hidden = rows.loc[~visible, "sent_id"].nunique()
    return rows[visible], {HIDDEN: hidden} if hidden else {}


class QueryInputs(NamedTuple):
    """What an importance study starts an image with.

    Attributes:
        query: The picked expression in its question.
        targets: Of the query.
        covered: Share of each token's patch that the true mask covers.
        keys: Columns that name the expression.
    """

    query: TokenQuery
    targets: TokenTargets
    covered: Float[Array, "n"]
    keys: Row


def prepare_query(
    model: QueriedModel,
    data: PickedExpressions,
    index: int,
    question_index: int,
    batch_size: int | None,
) -> QueryInputs:
    """Encode a picked image and ask for its expression.

    Args:
        model: The model that answers.
        data: Images with one expression each.
        index: Which of them.
        question_index: Question template.
        batch_size: Rows of the language model at once; None for as many as are safe.
    """
    sample = data[index]
    (expression,) = sample.expressions
    mask = target_mask(sample, expression)
    query = model.query(sample.image(), expression.sent, question_index, batch_size)
    targets = query.targets()
    covered = token_coverage(mask, model)
    keys = target_columns(data, sample, expression, mask, covered, query.view)
    return QueryInputs(query, targets, covered, keys | {"empty_prediction": targets.empty})
