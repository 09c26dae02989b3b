"""Nuwa: the most attended tokens of every small cell, gathering what lies around them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Choice
from litelvlm.pruning.budgets import check_share
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import cosine_matrix, row_norms
from litelvlm.pruning.merging import MergingPruner, mix, one_hot
from litelvlm.pruning.origin import Origin
from litelvlm.pruning.positions import Positions
from litelvlm.pruning.ranking import ascending, highest, rank_within

CELL = 2  # tokens per side of a cell
REACH = 280**0.5 / 24  # distance at which gathering ends, in sides of the released 24 x 24 grid


@dataclass(frozen=True, kw_only=True)
class Nuwa(MergingPruner):
    """First stage of Nuwa: R anchors from 2 x 2 cells by CLS attention a; the less attended of them gather.

    Every cell names its n most attended tokens, n the smallest number that names R; the R most attended of those are
    anchors. An anchor whose a reaches the 0.55 quantile of the anchors stays as it is. Another becomes
    ``x_i + sum_{j != i} w_ij x_j`` over all tokens, ``w_ij`` being ``relu(cos(h_i, h_j)) max(0, 1 - dist_ij / reach)``
    divided by its sum over j, i included, and h the mean state of the last third of the layers; so rows sum to more
    than 1. Raster order, original positions. Cost: one attention row and N^2 cosines.

    Source: Nuwa, official code; arXiv 2602.02951. The paper multiplies a by the norm of the keys and leaves the top
    quartile of that norm as it is. The released method drops tokens again before layer 16 of the language model, which
    this stage leaves out: its budget is the count of tokens that enter.

    Attributes:
        combine: "sum" as the code, or "mean": the row of a gathering anchor divided by its sum.
        untouched: Quantile of the anchors' attention from which they stay as they are, 0 to 1.
    """

    name: ClassVar[str] = "nuwa"
    summary: ClassVar[str] = "most attended patches of every cell, gathering their surroundings"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "cls_attention", "late_states"})
    origin: ClassVar[Origin] = Origin("arXiv 2602.02951", "Apache-2.0", "A")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"fixed": {"combine": "mean", "order": "raster"}}

    positions: Positions = "original"
    combine: Literal["sum", "mean"] = "sum"
    untouched: float = 0.55

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.untouched, "untouched")

    def merge(self, cues: Cues, budget: int) -> Choice:
        """Anchors, and what the less attended of them gather."""
        attention = cues.float32("cls_attention")
        anchors = cell_anchors(attention, cues.grid, budget)
        source = one_hot(anchors, cues.n_tokens)
        gathers = attention[anchors] < attention[anchors].quantile(self.untouched)
        weights = self.gathered(cues, anchors)
        source = torch.where(gathers[:, None], weights, source)
        return Choice(
            indices=anchors,
            tokens=mix(source, cues.patch_tokens),
            source=source,
            roles=tuple("merged" if flag else "kept" for flag in gathers.tolist()),
        )

    def gathered(self, cues: Cues, anchors: Int[Tensor, "r"]) -> Float[Tensor, "r n"]:
        """Merge weights of the anchors as if all of them gathered."""
        near = 1 - cell_distances(cues.grid).to(anchors.device)[anchors] / (REACH * max(cues.grid))
        weights = cosine_matrix(cues.float32("late_states"))[anchors].relu() * near.clamp(min=0)
        # An all-zero state is like nothing, itself included.
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)
        weights = weights.scatter(1, anchors[:, None], 1.0)
        return weights / weights.sum(dim=1, keepdim=True) if self.combine == "mean" else weights


def cell_anchors(attention: Float[Tensor, "n"], grid: tuple[int, int], budget: int) -> Int[Tensor, "budget"]:
    """The best tokens of every cell, as many per cell as it takes, and of those the best; in raster order.

    Cells at the right and lower edge of an odd grid are smaller.
    """
    rows, columns = (torch.arange(size, device=attention.device) // CELL for size in grid)
    cell = (rows[:, None] * grid[1] + columns).flatten()
    rank = rank_within(cell, attention)
    named = next(n for n in range(1, CELL**2 + 1) if int((rank < n).sum()) >= budget)
    return ascending(highest(attention.masked_fill(rank >= named, float("-inf")), budget))


def cell_distances(grid: tuple[int, int]) -> Float[Tensor, "n n"]:
    """Euclidean distance between tokens, in tokens."""
    places = torch.cartesian_prod(*(torch.arange(float(size)) for size in grid))
    return row_norms(places[:, None] - places)
