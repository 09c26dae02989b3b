"""One expression as a query to the unpruned model: its conversation, targets and mask coverage."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from litelvlm.analysis.inputs.picked import PickedExpressions
from litelvlm.analysis.inputs.samples import key_columns, label_columns, target_mask, token_coverage
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.attribution.targets import Targets


@dataclass(frozen=True)
class Query:
    """One conversation about one image.

    Attributes:
        model: Grounding model.
        state: The encoded image.
        conversation: Its questions and answers.
        batch_size: Rows at once; None for as many as are safe.
    """

    model: Any
    state: Any
    conversation: Conversation
    batch_size: int | None = None

    def targets(self) -> Targets:
        """The targets as functions of the visual tokens."""
        return Targets(self.model, self.state, self.conversation)


class QueryInputs(NamedTuple):
    """What an importance study starts an image with.

    Attributes:
        query: The picked expression in its conversation.
        targets: Of the query.
        covered: Share of each token's patch that the true mask covers.
        keys: Columns that name the expression.
    """

    query: Query
    targets: Targets
    covered: Float[np.ndarray, "n"]
    keys: dict[str, Any]


def prepare_query(
    model: Any, data: PickedExpressions, index: int, question_index: int, batch_size: int | None
) -> QueryInputs:
    """Encode a picked image and ask for its expression.

    Args:
        model: Grounding model.
        data: Images with one expression each.
        index: Which of them.
        question_index: Question template, 0 to 15.
        batch_size: Rows of the language model at once; None for as many as are safe.
    """
    sample = data[index]
    (expression,) = sample.expressions
    mask = target_mask(sample, expression)
    state = model.encode_image(sample.image())
    query = Query(model, state, model.conversation([expression.sent], question_index), batch_size)
    targets = query.targets()
    covered = token_coverage(mask, model)
    keys = key_columns(data, sample, expression, mask, model.tower) | label_columns(covered)
    return QueryInputs(query, targets, covered, keys | {"empty_prediction": targets.empty})
