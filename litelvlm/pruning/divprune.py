"""DivPrune: max-min diversity."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from litelvlm.pruning.base import Choice, Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import cosine_matrix, farthest_points
from litelvlm.pruning.origin import Origin
from litelvlm.pruning.ranking import ascending


@dataclass(frozen=True, kw_only=True)
class DivPrune(Pruner):
    """Farthest-point sampling with ``d_ij = 1 - cos(P_i, P_j)`` on projected tokens.

    It starts at the token whose nearest other token is farthest away, then keeps adding the token farthest from its
    nearest chosen one. Blind to the text, drawn to outliers. Raster order, contiguous positions. Cost: N^2 cosines and
    R sequential steps of N.

    Source: DivPrune, official code; arXiv 2503.02175. Paper and code agree.
    """

    name: ClassVar[str] = "divprune"
    summary: ClassVar[str] = "most diverse subset (max-min distance)"
    needs: ClassVar[frozenset[str]] = frozenset({"projected"})
    stage: ClassVar[str] = "post_projector"
    origin: ClassVar[Origin] = Origin("arXiv 2503.02175", "CC-BY-NC-4.0", "A")

    def choose(self, cues: Cues, budget: int) -> Choice:
        """Sample farthest points."""
        distances = 1 - cosine_matrix(cues.float32("projected"))
        itself = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
        first = int(distances.masked_fill(itself, float("inf")).amin(dim=1).argmax())
        return Choice(ascending(farthest_points(distances, first, budget)))
