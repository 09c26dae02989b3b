"""SCOPE: saliency times coverage gain."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.greedy import GreedyPruner
from litelvlm.pruning.options import NotNegative
from litelvlm.pruning.ranking import cosine_matrix


@dataclass(frozen=True, kw_only=True)
class Scope(GreedyPruner):
    """Greedy facility location weighted by CLS attention.

    With ``S = cos(X, X)`` and coverage ``c`` (0 at first), each step adds the token of largest
    ``sum_i max(0, S_ij - c_i) * a_j^alpha`` and sets ``c_i = max(c_i, S_ij)``. Raster order,
    contiguous positions. Cost: R sequential steps of N^2.

    Source: SCOPE, official code (multiplicative form); arXiv 2510.24214. Paper and code agree. The
    attention is the head mean here and the head sum there, which gives the same choice.

    Attributes:
        alpha: Exponent of the attention, 0 (coverage alone) or above.
    """

    name: ClassVar[str] = "scope"
    title: ClassVar[str] = "SCOPE"
    summary: ClassVar[str] = "coverage gain times CLS attention"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "cls_attention"})
    nested: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin("arXiv 2510.24214", "none", "A")

    alpha: NotNegative = 1.0

    def steps(self, cues: Cues, budget: int) -> Int[Tensor, "budget"]:
        """Add the token of largest gain, ``budget`` times."""
        similarity = cosine_matrix(cues.float32("patch_tokens"))
        saliency = cues.float32("cls_attention") ** self.alpha
        covered, taken = torch.zeros_like(saliency), torch.zeros_like(saliency, dtype=torch.bool)
        left, chosen = torch.empty_like(similarity), []
        for _ in range(budget):
            # Cosines are symmetric: row j holds what token j would cover.
            torch.sub(similarity, covered, out=left)
            gains = left.clamp_(min=0).sum(dim=1) * saliency
            best = gains.masked_fill(taken, float("-inf")).argmax(0, keepdim=True)
            taken.index_fill_(0, best, True)
            covered = torch.maximum(covered, similarity.index_select(0, best)[0])
            chosen.append(best)
        return torch.cat(chosen)
