"""DivPrune: max-min diversity."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.greedy import GreedyPruner, farthest_points
from litelvlm.pruning.ranking import cosine_matrix


@dataclass(frozen=True, kw_only=True)
class DivPrune(GreedyPruner):
    """Farthest-point sampling with ``d_ij = 1 - cos(P_i, P_j)`` on projected tokens.

    It starts at the token whose nearest other token is farthest away, then keeps adding the token
    farthest from its nearest chosen one. Blind to the text, drawn to outliers. Raster order,
    contiguous positions. Cost: N^2 cosines and R sequential steps of N.

    Source: DivPrune, official code; arXiv 2503.02175. Paper and code agree.
    """

    name: ClassVar[str] = "divprune"
    title: ClassVar[str] = "DivPrune"
    summary: ClassVar[str] = "most diverse subset (max-min distance)"
    needs: ClassVar[frozenset[str]] = frozenset({"projected"})
    stage: ClassVar[str] = "post_projector"
    nested: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin("arXiv 2503.02175", "CC-BY-NC-4.0", "A")

    def steps(self, cues: Cues, budget: int) -> Int[Tensor, "budget"]:
        """Sample farthest points by cosine distance."""
        distances = 1 - cosine_matrix(cues.float32("projected"))
        itself = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
        first = distances.masked_fill(itself, float("inf")).amin(dim=1).argmax()
        return farthest_points(distances, first, budget)
