"""VisPruner: half important tokens, half distinct ones."""

from dataclasses import dataclass
from math import floor
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin, Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.ranking import ascending, cosine_matrix, stable_order
from litelvlm.pruning.selection import RawSelection

# Duplicates removed per round in the released code.
ROUND = 8


def remove_duplicates(
    tokens: Int[Tensor, "m"], cosines: Float[Tensor, "n n"], n_left: int
) -> Int[Tensor, "n_left"]:
    """Thin a list by repeatedly matching its even places against its odd ones.

    Each round deletes the (up to eight) tokens of even places that are most similar to one of an
    odd place; the survivors, by falling similarity, are followed by the odd places. So the order of
    the list matters.

    Args:
        tokens: Indices into ``cosines``, most important first.
        cosines: Of every token with every other.
        n_left: Length to stop at.
    """
    while len(tokens) > n_left:
        even, odd = tokens[::2], tokens[1::2]
        n_removed = min(ROUND, len(tokens) - n_left, len(even))
        nearest = cosines[even[:, None], odd].amax(dim=1)
        tokens = torch.cat([even[stable_order(nearest, descending=True)[n_removed:]], odd])
    return tokens


@dataclass(frozen=True, kw_only=True)
class VisPruner(Pruner):
    """Keeps ``floor(share R)`` patches by CLS attention, and the most distinct of the others.

    Raster order, contiguous positions. Text agnostic. Cost: one attention row, N^2 cosines and
    about (N - R) / 8 rounds of matching.

    Source: VisPruner, official code; arXiv 2412.01818v2. Paper and code agree. The code's rounds
    fail on a residual list shorter than twice the number to remove, which these do not.

    Attributes:
        important_share: Share of the budget kept by attention, in [0, 1).
    """

    name: ClassVar[str] = "vispruner"
    title: ClassVar[str] = "VisPruner"
    summary: ClassVar[str] = "half by CLS attention, half distinct patches"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "cls_attention"})
    origin: ClassVar[Origin] = Origin("arXiv 2412.01818v2", "Apache-2.0", "A")

    important_share: ShareBelowOne = 0.5

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Important tokens, then distinct ones."""
        order = stable_order(cues.float32("cls_attention"), descending=True)
        n_important = floor(self.important_share * budget)
        cosines = cosine_matrix(cues.float32("patch_tokens"))
        distinct = remove_duplicates(order[n_important:], cosines, budget - n_important)
        return RawSelection(ascending(torch.cat([order[:n_important], distinct])))
