"""HoloV: the budget is shared among stretches of the raster, so that no region is left empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import cosine_matrix
from litelvlm.pruning.grid.shares import EPS, redistribute, split_budget
from litelvlm.pruning.merging import mix, one_hot
from litelvlm.pruning.origin import Origin
from litelvlm.pruning.ranking import highest
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class HoloV(Pruner):
    """Sixteen consecutive stretches of the raster sequence share the budget by their mean score.

    ``score_i = 1000 a_i + 0.09 v_i mean|1000 a| / mean|v|`` within a stretch, where ``v_i`` is the
    variance of the cosines of projected token i to its stretch (the zeroed diagonal counted,
    divisor size - 1). A stretch gets ``floor(w R)`` tokens, w its mean score over the sum;
    left-over tokens go one each to the heaviest. Inside a stretch tokens are taken by CLS attention
    ``a`` alone. Native order: stretch by stretch, attention descending (raster in a stretch kept
    whole); contiguous positions. Cost: N^2 / 16 cosines.

    Source: HoloV, official code; arXiv 2510.02912. The paper speaks of spatial crops where the code
        cuts the raster.

    Attributes:
        shortfall: When a stretch is given more tokens than it has, "pad" fills the output behind
            the projector with zero vectors as the code does (index -1, role "padding");
            "redistribute" gives the surplus to the stretches with room.
        stretches: Parts of the sequence.
    """

    name: ClassVar[str] = "holov"
    title: ClassVar[str] = "HoloV"
    summary: ClassVar[str] = "CLS-attended patches, budget shared over the raster"
    needs: ClassVar[frozenset[str]] = frozenset({"projected", "cls_attention"})
    stage: ClassVar[str] = "post_projector"
    native_order: ClassVar[str] = "stretch, score"
    origin: ClassVar[Origin] = Origin("arXiv 2510.02912", "Apache-2.0", "A")
    synthetic: ClassVar[bool] = True
    video_substitute: ClassVar[str] = "vispruner"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "fixed": {"shortfall": "redistribute", "order": "raster"}
    }

    shortfall: Literal["pad", "redistribute"] = "pad"
    stretches: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stretches < 1:
            raise ValueError(
                f"stretches {self.stretches} is not 1 or above; the released code has 16"
            )
        object.__setattr__(self, "synthetic", self.shortfall == "pad")

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Share the budget, then take each stretch's most attended tokens."""
        attention, features = cues.float32("cls_attention"), cues.float32("projected")
        parts = [
            p
            for p in torch.arange(cues.n_tokens, device=attention.device).tensor_split(
                self.stretches
            )
            if len(p)
        ]
        sizes = torch.tensor([len(part) for part in parts])
        scores = torch.stack(
            [stretch_score(attention[part], features[part]) for part in parts]
        ).cpu()
        weights = scores / (scores.sum() + EPS)
        counts = split_budget(weights, budget)
        if self.shortfall == "redistribute":
            counts = redistribute(counts, sizes, weights)
        kept = torch.cat(
            [
                part if n >= len(part) else part[highest(attention[part], n)]
                for part, n in zip(parts, counts.tolist(), strict=True)
            ]
        )
        n_missing = budget - len(kept)
        if n_missing == 0:
            return RawSelection(kept)
        nothing = kept.new_full((n_missing,), -1)
        source = torch.cat(
            [
                one_hot(kept, cues.n_tokens),
                torch.zeros(n_missing, cues.n_tokens, device=kept.device),
            ]
        )
        return RawSelection(
            indices=torch.cat([kept, nothing]),
            places=torch.cat([kept, torch.full_like(nothing, cues.n_tokens - 1)]),
            tokens=mix(source, cues.projected),
            source=source,
            roles=("kept",) * len(kept) + ("padding",) * n_missing,
        )


def stretch_score(
    attention: Float[Tensor, "s"], features: Float[Tensor, "s d"]
) -> Float[Tensor, ""]:
    """Mean score of one stretch; a single token scores its bare attention, as in the code."""
    if len(attention) == 1:
        return attention[0]
    cosines = cosine_matrix(features).fill_diagonal_(0.0)
    means = cosines.sum(dim=1, keepdim=True) / (len(attention) - 1)
    variances = ((cosines - means) ** 2).sum(dim=1) / (len(attention) - 1)
    scaled = attention * 1000
    return (
        scaled + 0.09 * variances * (scaled.abs().mean() / (variances.abs().mean() + EPS))
    ).mean()
