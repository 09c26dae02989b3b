"""Methods that put several patch tokens into one output token."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.positions import median_places
from litelvlm.pruning.selection import RawSelection


def mix(source: Float[Tensor, "r n"], patch_tokens: Float[Tensor, "n d"]) -> Float[Tensor, "r d"]:
    """Weighted sums of patch tokens, in their number type; one weight of 1 makes an exact copy."""
    mixed = (source @ patch_tokens.float()).to(patch_tokens.dtype)
    copies = ((source != 0).sum(dim=1) == 1) & (source.amax(dim=1) == 1)
    # A reduced-precision matrix product (TF32) would change even a plain row.
    return torch.where(copies[:, None], patch_tokens[source.argmax(dim=1)], mixed)


def one_hot(indices: Int[Tensor, "r"], n_tokens: int) -> Float[Tensor, "r n"]:
    """Merge weights that copy the given tokens."""
    return torch.nn.functional.one_hot(indices.long(), n_tokens).float()


def mean_of(indices: Int[Tensor, "r"], n_tokens: int) -> Float[Tensor, "1 n"]:
    """Merge weights of one token that is the mean of the given ones."""
    weights = torch.zeros(1, n_tokens, device=indices.device)
    weights[0, indices] = 1 / len(indices)
    return weights


@dataclass(frozen=True, kw_only=True)
class MergingPruner(Pruner):
    """A method with merged tokens; it implements ``merge``.

    Attributes:
        place: Which raster index a merged token stands for under ``positions="original"`` and
            ``order="raster"``: "destination" (the token merged into; N - 1 for one that holds all
            that was left; the centre of a pooled cell) or "median" of its members.
    """

    synthetic: ClassVar[bool] = True

    place: Literal["destination", "median"] = "destination"

    @abstractmethod
    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """The method itself, merged tokens at their destinations."""

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Run ``merge`` and set the places of merged tokens."""
        raw = self.merge(cues, budget)
        if self.place == "destination" or raw.source is None:
            return raw
        return replace(raw, places=median_places(raw.source, raw.stands_for))
