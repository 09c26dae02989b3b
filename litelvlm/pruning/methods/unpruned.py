"""The unpruned model as a member of the table of methods."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.selection import RawSelection


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

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Keep all."""
        if budget != cues.n_tokens:
            raise ValueError(
                f"method 'none' keeps all {cues.n_tokens} tokens, not {budget}; "
                f"give budget={cues.n_tokens} or choose a method that prunes"
            )
        return RawSelection(torch.arange(budget))
