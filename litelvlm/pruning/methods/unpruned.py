"""The unpruned model as a member of the table of methods."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.budgets import check_budget
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.selection import RawSelection, Selection


@dataclass(frozen=True, kw_only=True)
class Unpruned(Pruner):
    """Keeps every token in raster order: the true baseline.

    A selector given the full budget may still permute the tokens (LiteLVLM with two texts does);
    this one does not. Any other budget is refused, so that no row of a table claims a saving that
    was not made. Cost: none, and no saving.
    """

    name: ClassVar[str] = "none"
    title: ClassVar[str] = "unpruned"
    summary: ClassVar[str] = "all tokens, unpruned"

    def select(self, cues: Cues, budget: int | float) -> Selection:
        """Keep all; of a clip the budget counts the tokens of all frames."""
        check_whole(check_budget(budget, cues.n_tokens), cues.n_tokens)
        return super().select(cues, budget)

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Keep all."""
        check_whole(budget, cues.n_tokens)
        return RawSelection(torch.arange(budget))


def check_whole(budget: int, n_tokens: int) -> None:
    """Refuse a budget that is not all tokens.

    Raises:
        ValueError: Naming their number.
    """
    if budget != n_tokens:
        raise ValueError(
            f"method 'none' keeps all {n_tokens} tokens, not {budget}; give budget={n_tokens} or "
            "choose a method that prunes"
        )
