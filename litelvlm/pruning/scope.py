"""SCOPE: saliency times coverage gain."""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import torch

from litelvlm.pruning.base import Choice, Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import cosine_matrix
from litelvlm.pruning.origin import Origin
from litelvlm.pruning.ranking import ascending


@dataclass(frozen=True, kw_only=True)
class Scope(Pruner):
    """Greedy facility location weighted by CLS attention.

    With ``S = cos(X, X)`` and coverage ``c`` (0 at first), each step adds the token of largest
    ``sum_i max(0, S_ij - c_i) * a_j^alpha`` and sets ``c_i = max(c_i, S_ij)``. Raster order, contiguous positions.
    Cost: R sequential steps of N^2.

    Source: SCOPE, official code (multiplicative form); arXiv 2510.24214. Paper and code agree. The attention is the
    head mean here and the head sum there, which gives the same choice.

    Attributes:
        alpha: Exponent of the attention, 0 (coverage alone) or above.
    """

    name: ClassVar[str] = "scope"
    summary: ClassVar[str] = "coverage gain times CLS attention"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "cls_attention"})
    origin: ClassVar[Origin] = Origin("arXiv 2510.24214", "none", "A")

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isfinite(self.alpha) or self.alpha < 0:
            raise ValueError(f"alpha {self.alpha!r} is not a finite number of 0 or above; the released code has 1.0")

    def choose(self, cues: Cues, budget: int) -> Choice:
        """Add the token of largest gain, ``budget`` times."""
        similarity = cosine_matrix(cues.float32("patch_tokens"))
        saliency = cues.float32("cls_attention") ** self.alpha
        covered = torch.zeros_like(saliency)
        taken = torch.zeros_like(saliency, dtype=torch.bool)
        for _ in range(budget):
            gains = (similarity - covered[:, None]).relu().sum(dim=0) * saliency
            best = gains.masked_fill(taken, float("-inf")).argmax(dim=0, keepdim=True)
            taken[best] = True
            covered = torch.maximum(covered, similarity[best][0])
        return Choice(ascending(taken.nonzero().flatten()))
