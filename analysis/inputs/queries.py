"""One expression as a query to the unpruned model: its targets and mask coverage."""

from typing import NamedTuple

from jaxtyping import Float

from litelvlm.analysis.inputs.picked import PickedExpressions
from litelvlm.analysis.inputs.samples import (
    category_name,
    key_columns,
    label_columns,
    target_mask,
    token_coverage,
)
from litelvlm.analysis.runs.columns import Row
from litelvlm.arrays import Array
from litelvlm.models.attribution import TokenQuery, TokenTargets
from litelvlm.models.base import QueriedModel


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
    keys = key_columns(data, sample, expression, mask, query.view) | label_columns(covered)
    keys |= {"category": category_name(data, expression), "empty_prediction": targets.empty}
    return QueryInputs(query, targets, covered, keys)
