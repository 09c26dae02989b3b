"""Implicit visual coordinates as an addition to another method: before the language model, and inside it."""

from dataclasses import dataclass, replace
from itertools import count as count_from
from typing import ClassVar

from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import RawSelection
from litelvlm.pruning.budgets import check_share, round_half_up
from litelvlm.pruning.coordinates import add_coordinates, coordinate_ranking
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.layers.base import DropResult, LayerView
from litelvlm.pruning.layers.wrapping import LayerWrapper
from litelvlm.pruning.origin import Origin
from litelvlm.pruning.positions import Positions
from litelvlm.pruning.ranking import ascending
from litelvlm.pruning.wrapping import Wrapper

ORIGIN = Origin("arXiv 2602.03060", "none", "B")


def other_tokens(budget: int, share: float) -> int:
    """Tokens that the inner method chooses, at least one."""
    return max(1, budget - round_half_up(share * budget))


@dataclass(frozen=True, kw_only=True)
class IvcAddOn(Wrapper):
    """Lets another method choose ``R - round(share R)`` tokens and adds the best coordinates that it left out.

    Coordinates have the largest mean rotary cosine or sine at their unpruned position (see
    ``litelvlm.pruning.coordinates``), so positions are the original ones. Tokens that a merging
    method makes stay. Roles are "chosen" (or what a merging method calls its tokens) and
    "coordinate". Raster order. Cost: that of the other method.

    Attributes:
        share: Share of the budget for coordinates, in [0, 1).

    Source: IVC-Prune, arXiv 2602.03060, its ablation on other methods.
    """

    name: ClassVar[str] = "ivc_add_on"
    summary: ClassVar[str] = "another method, part of the budget reserved for coordinate tokens"
    needs: ClassVar[frozenset[str]] = frozenset({"rotary_cosine", "rotary_sine"})
    origin: ClassVar[Origin] = ORIGIN

    takes_merged: ClassVar[bool] = True

    positions: Positions = "original"
    share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.share, "share", high_open=True)

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """The other method's tokens, then coordinates."""
        n_chosen = other_tokens(budget, self.share)
        chosen = self.of.choose(cues, n_chosen)
        kept = chosen.indices[chosen.indices >= 0]
        ranking = coordinate_ranking(cues.float32("rotary_cosine"), cues.float32("rotary_sine")).to(
            kept.device
        )
        found = add_coordinates(kept, ranking, len(kept) + budget - n_chosen)
        return self.extended(chosen, found[len(kept) :], cues, "coordinate")


@dataclass(frozen=True, kw_only=True)
class IvcLayerAddOn(LayerWrapper):
    """Reserves a share of what each drop of another method leaves for coordinate tokens.

    As ``ivc_add_on``, inside the language model. Tokens that the other method makes of several
    (SparseVLM's recycled ones) stay, and coordinates are added among those that it does not keep as
    they are. Cost: that of the other method.

    Attributes:
        of: The other method, at layers of the language model alone.
        share: Share of the kept tokens for coordinates, in [0, 1).

    Source: IVC-Prune, arXiv 2602.03060, its ablation on FastV and PyramidDrop.
    """

    name: ClassVar[str] = "ivc_layer_add_on"
    summary: ClassVar[str] = (
        "another method inside the language model, part of what it keeps reserved for coordinates"
    )
    reads: ClassVar[frozenset[str]] = frozenset({"rotary"})
    origin: ClassVar[Origin] = ORIGIN

    share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.share, "share", high_open=True)

    def least(self, n_tokens: int) -> int:
        """What leaves the other method as many tokens as it needs."""
        needed = self.of.least(n_tokens)
        return next(n for n in count_from(needed) if other_tokens(n, self.share) >= needed)

    def keep(self, scored: LayerView, entering: LayerView, count: int) -> Int[Tensor, "count"]:
        """The tokens that stay as they are."""
        return self.reduce(scored, entering, count).places

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """The other method's tokens, then coordinates."""
        chosen = self.of.reduce(scored, entering, other_tokens(count, self.share))
        n_made = 0 if chosen.weights is None else len(chosen.weights)
        cos, sin = (part[scored.image].mean(dim=1) for part in scored.rotary())
        places = add_coordinates(chosen.places, coordinate_ranking(cos, sin), count - n_made)
        return replace(chosen, places=ascending(places))
