"""Greedy answers of pruned models."""

from collections.abc import Mapping

from torch import Tensor
from transformers import PreTrainedModel

from litelvlm import get_pruner, prune
from litelvlm.pruning import Pruner

ORIGINAL = get_pruner("divprune", positions="original")
"""A method whose tokens keep their positions, so that leaving one out equals masking it."""
METHODS = [(ORIGINAL, 9), (get_pruner("fastv", positions="original"), 20)]
"""Methods whose tokens keep their positions, before and inside the language model, with budgets."""


def answer(
    model: PreTrainedModel,
    inputs: Mapping[str, Tensor],
    method: Pruner | str = ORIGINAL,
    budget: int | float = 9,
    **given: object,
) -> list[list[int]]:
    """New tokens of each row; four of them, greedy, if nothing else is asked."""
    with prune(model, method, budget):
        out = model.generate(**inputs, **{"max_new_tokens": 4, "do_sample": False, **given})
    return out[:, inputs["input_ids"].shape[1] :].tolist()
