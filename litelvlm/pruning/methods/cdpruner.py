"""CDPruner: a determinantal point process conditioned on the text."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.greedy import GreedyPruner
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.ranking import cosine_matrix
from litelvlm.pruning.scoring import text_similarity

# A token of which no more than this share is left unexplained lies in the span of the chosen ones,
# up to rounding.
SPANNED = 1e-5


def greedy_volume(kernel: Float[Tensor, "n n"], k: int) -> Int[Tensor, "k"]:
    """Greedy search for the k rows whose sub-kernel has the largest determinant.

    Incremental Cholesky factor: each step takes the largest remaining pivot. Rows in the span of
    the chosen ones add no volume; when only such are left, they follow by lower index. O(k^2 n).

    Args:
        kernel: Symmetric, positive semi-definite.
        k: Rows to choose.

    Returns:
        Rows in order of choice.
    """
    pivots = kernel.diagonal().clone()
    spanned = SPANNED * pivots
    factor = torch.zeros(k, len(kernel), device=kernel.device)
    chosen = torch.zeros(k, dtype=torch.long, device=kernel.device)
    for step in range(k):
        index = chosen[step : step + 1] = pivots.argmax(0, keepdim=True)
        known = torch.einsum("s,sn->n", factor[:step].index_select(1, index)[:, 0], factor[:step])
        row, pivot = kernel.index_select(0, index)[0] - known, pivots.index_select(0, index)
        factor[step] = torch.where(pivot > 0, row / pivot.clamp(min=1e-30).sqrt(), 0.0)
        rest = pivots - factor[step] ** 2
        pivots = torch.where(rest > spanned, rest, pivots.clamp(max=0.0))
        pivots = pivots.index_fill(0, index, float("-inf"))
    return chosen


@dataclass(frozen=True, kw_only=True)
class CDPruner(GreedyPruner):
    """Keeps a set that is irrelevant to the text and diverse, by a determinantal point process.

    Greedy MAP inference of ``K_ij = r_i S_ij r_j``: ``u_i = -mean_t cos(t_t, Z_i)`` (the released
    code negates, as its author confirmed; the paper does not), min-max scaled to ``r_i = (u_i - min
    u + 1e-6) / (max u - min u)``; ``S`` is the cosine of projected tokens. Raster order, contiguous
    positions. Cost: N^2 cosines and R sequential steps of R x N.

    Source: CDPruner, official code; arXiv 2506.10967. The code scales over the batch, here over the
    image; a relevance that is the same everywhere divides by zero there and counts as 1 here. Texts
    longer than one CLIP window are averaged over windows in the code: pass the windows as texts.

    Attributes:
        strength: None as the code's default; a value theta in [0, 1) replaces r by ``exp(theta r /
            (2 (1 - theta)))``.
        direction: Which similarities weigh most: "lowest" as the code, "highest" as the paper.
    """

    name: ClassVar[str] = "cdpruner"
    title: ClassVar[str] = "CDPruner"
    summary: ClassVar[str] = "text-conditioned diverse subset (DPP)"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_embeds", "text_embeds", "projected"})
    stage: ClassVar[str] = "post_projector"
    text_guided: ClassVar[bool] = True
    nested: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin("arXiv 2506.10967", "Apache-2.0", "A")

    strength: ShareBelowOne | None = None
    direction: Literal["lowest", "highest"] = "lowest"

    def steps(self, cues: Cues, budget: int) -> Int[Tensor, "budget"]:
        """Greedy MAP inference."""
        relevance = self.relevance(cues)
        kernel = relevance[:, None] * cosine_matrix(cues.float32("projected")) * relevance
        return greedy_volume(kernel, budget)

    def relevance(self, cues: Cues) -> Float[Tensor, "n"]:
        """Scaled similarity, negated unless the highest weigh most, in (0, 1]."""
        raw = text_similarity(cues, "cosine").mean(dim=0)
        raw = -raw if self.direction == "lowest" else raw
        width = raw.max() - raw.min()
        scaled = torch.where(width > 0, (raw - raw.min() + 1e-6) / width.clamp(min=1e-30), 1.0)
        if self.strength is None:
            return scaled
        return (scaled * self.strength / (2 * (1 - self.strength))).exp()
