"""LLaVA-PruMerge+: attended and evenly spaced tokens, each enriched by its neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import spread
from litelvlm.pruning.merging import MergingPruner, mix, one_hot
from litelvlm.pruning.options import FromZero
from litelvlm.pruning.ranking import complement, highest, row_dots, unit_rows
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class PruMergePlus(MergingPruner):
    """The most attended patches, evenly spaced others, and one token for all that is left.

    ``a = softmax(q K^T / sqrt(D))`` over CLS and patches, all heads joined into one. Of R tokens
    ``floor((R - 1) / 2)`` are the highest ``a``, ``R - 1 - floor((R - 1) / 2)`` are evenly spaced
    among the others, and the last is ``sum_dropped a_j x_j``. Every kept one becomes ``x_i + sum_j
    a_j x_j`` over its 32 most similar other patches by key cosine, kept or not; the weights are not
    normalised, so the shift is small. Native order: by score, then spaced, then the extra token;
    contiguous positions. Cost: R x N cosines and sorts.

    Source: LLaVA-PruMerge, official code; arXiv 2403.15388. Both set the count per image by an
    outlier rule on ``a`` and take the spaced tokens at a stride derived from it (the code divides
    by zero when more than a third are outliers); a fixed budget needs the split above, which is
    ours.

    Attributes:
        neighbours: Other patches merged into each kept one.
        attention: "joint" as the code: a as above. "tower": the attention of CLS in the second-last
            block, mean over heads, as the paper; it names the layer and leaves the heads open. The
            neighbours go by the last block's keys either way.
    """

    name: ClassVar[str] = "prumerge_plus"
    title: ClassVar[str] = "PruMerge+"
    summary: ClassVar[str] = "attended and evenly spaced patches with merged neighbours"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "query", "keys", "cls_key"})
    native_order: ClassVar[str] = "score, spaced, rest"
    origin: ClassVar[Origin] = Origin("arXiv 2403.15388", "Apache-2.0", "A")

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"fixed": {"order": "raster"}}

    neighbours: FromZero = 32
    attention: Literal["joint", "tower"] = "joint"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention == "tower":
            needs = frozenset({"patch_tokens", "keys", "cls_attention"})
            object.__setattr__(self, "needs", needs)

    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """Top, spaced and extra tokens."""
        n_tokens = cues.n_tokens
        joint = self.attention == "joint"
        attention = joint_attention(cues) if joint else cues.float32("cls_attention")
        top = highest(attention, (budget - 1) // 2)
        others = complement(top, n_tokens)
        spaced = spread(others, budget - 1 - len(top))
        kept = torch.cat([top, spaced])
        left_over = attention.clone()
        left_over[kept] = 0.0
        near = nearest_rows(
            unit_rows(cues.float32("keys")), kept, min(self.neighbours, n_tokens - 1)
        )
        source = torch.cat([one_hot(kept, n_tokens) + near * attention, left_over[None]])
        return RawSelection(
            indices=torch.cat([kept, kept.new_tensor([-1])]),
            places=torch.cat([kept, kept.new_tensor([n_tokens - 1])]),
            tokens=mix(source, cues.patch_tokens),
            source=source,
            roles=("attended",) * len(top) + ("spaced",) * len(spaced) + ("merged",),
        )


def joint_attention(cues: Cues) -> Float[Tensor, "n"]:
    """Attention of CLS to the patches as if all channels were one head; CLS is in the softmax."""
    query = cues.float32("query")
    keys = torch.cat([cues.float32("cls_key")[None], cues.float32("keys")])
    return torch.softmax(row_dots(keys, query) * query.shape[0] ** -0.5, dim=0)[1:]


def nearest_rows(
    unit: Float[Tensor, "n d"], rows: Int[Tensor, "r"], k: int
) -> Float[Tensor, "r n"]:
    """Mark the k most similar other rows of each given row with 1."""
    cosines = (unit[rows] @ unit.T).scatter(1, rows[:, None], float("-inf"))
    return torch.zeros_like(cosines).scatter(1, highest(cosines, k), 1.0)
