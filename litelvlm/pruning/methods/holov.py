"""HoloV: the budget is shared among stretches of the raster, so that no region is left empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin, Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import EPS, redistribute, split_budget
from litelvlm.pruning.merging import mix, one_hot
from litelvlm.pruning.options import FromOne, Share
from litelvlm.pruning.ranking import cosine_matrix, highest
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class HoloV(Pruner):
    """Sixteen consecutive stretches of the raster sequence share the budget by their mean score.

    ``score_i = 1000 a_i + w v_i mean|1000 a| / mean|v|`` within a stretch, ``w`` being 0.09, where
    ``v_i`` is the variance of the cosines of projected token i to its stretch (the zeroed diagonal
    counted, divisor size - 1). A stretch gets ``floor(u R)`` tokens, u its mean score over the sum;
    left-over tokens go one each to the heaviest. Inside a stretch tokens are taken by CLS attention
    ``a`` alone. In a stretch whose tokens vary, the scaled variance has the mean of the attention,
    so its mean score is ``(1 + w)`` times that mean: there the variance decides nothing unless it
    ranks the tokens (option inside). Native order: stretch by stretch, attention descending (raster
    in a stretch kept whole); contiguous positions. Cost: N^2 / 16 cosines.

    Source: HoloV, official code; arXiv 2510.02912. The paper arranges the tokens into local crops,
        takes the tokens of a crop by their score, has no weight of the variance, and redistributes
        the surplus.

    Attributes:
        shortfall: When a stretch is given more tokens than it has, "pad" fills the output behind
            the projector with zero vectors as the code does (index -1, role "padding");
            "redistribute" gives the surplus to the stretches with room.
        stretches: Parts of the image.
        crop: Shape of a part: "stretch" of the raster as the code, or "square": a crop of the grid,
            as many in a row as in a column.
        inside: What ranks the tokens of a part: "attention" as the code, "score" as the paper.
        diagonal: Of a token's cosines to its part, that to itself is "zero" and counted in the
            variance as in the code, or "left_out".
        variance_weight: Weight w of the variance, 0 to 1; the paper has none, which is 1.
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
    stretches: FromOne = 16
    crop: Literal["stretch", "square"] = "stretch"
    inside: Literal["attention", "score"] = "attention"
    diagonal: Literal["zero", "left_out"] = "zero"
    variance_weight: Share = 0.09

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop == "square" and isqrt(self.stretches) ** 2 != self.stretches:
            raise ValueError(
                f"stretches {self.stretches} is not a square number, which crop 'square' needs; "
                "give 1, 4, 9, 16 or another one"
            )
        object.__setattr__(self, "synthetic", self.shortfall == "pad")

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Share the budget, then take each part's best tokens."""
        attention, features = cues.float32("cls_attention"), cues.float32("projected")
        parts = [part.to(attention.device) for part in self.parts(cues.grid)]
        sizes = torch.tensor([len(part) for part in parts])
        tokens = [self.token_scores(attention[part], features[part]) for part in parts]
        scores = torch.stack([part.mean() for part in tokens]).cpu()
        ranked_by = tokens if self.inside == "score" else [attention[part] for part in parts]
        weights = scores / (scores.sum() + EPS)
        counts = split_budget(weights, budget)
        if self.shortfall == "redistribute":
            counts = redistribute(counts, sizes, weights)
        kept = torch.cat(
            [
                part if n >= len(part) else part[highest(ranks, n)]
                for part, ranks, n in zip(parts, ranked_by, counts.tolist(), strict=True)
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

    def parts(self, grid: tuple[int, int]) -> list[Int[Tensor, "s"]]:
        """Tokens of every part that has any, parts in raster order."""
        places = torch.arange(grid[0] * grid[1])
        if self.crop == "stretch":
            found = list(places.tensor_split(self.stretches))
        else:
            side = isqrt(self.stretches)
            bands = places.view(grid).tensor_split(side)
            found = [crop.flatten() for band in bands for crop in band.tensor_split(side, dim=1)]
        return [part for part in found if len(part)]

    def token_scores(
        self, attention: Float[Tensor, "s"], features: Float[Tensor, "s d"]
    ) -> Float[Tensor, "s"]:
        """Scores of one part; a single token scores its bare attention, as in the code."""
        others = len(attention) - 1
        if not others:
            return attention
        cosines = cosine_matrix(features).fill_diagonal_(0.0)
        means = cosines.sum(dim=1, keepdim=True) / others
        squares = (cosines - means) ** 2
        if self.diagonal == "left_out":
            squares.fill_diagonal_(0.0)
        variances = squares.sum(dim=1) / others
        scaled = attention * 1000
        balance = scaled.abs().mean() / (variances.abs().mean() + EPS)
        return scaled + self.variance_weight * variances * balance
