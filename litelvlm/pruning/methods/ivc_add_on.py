"""Implicit visual coordinates added to another method, before the language model and inside it."""

from dataclasses import dataclass, replace
from itertools import count as count_from
from typing import ClassVar

from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import Origin, Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.layers.base import DropResult, LayerPruner, LayerView
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.methods.fastv import FastV
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.positions import Positions
from litelvlm.pruning.ranking import ascending
from litelvlm.pruning.scoring import add_coordinates, coordinate_ranking
from litelvlm.pruning.wrapping import AddOn, LayerWrapper, inner_budget

ORIGIN = Origin("arXiv 2602.03060", "none", "B")


@dataclass(frozen=True, kw_only=True)
class IvcAddOn(AddOn):
    """Another method chooses ``R - round(share R)`` tokens; the best coordinates fill the budget.

    Coordinates have the largest mean rotary cosine or sine at their unpruned position (see
    ``litelvlm.pruning.scoring``), so positions are the original ones. Tokens that a
    merging method makes stay. Roles are "chosen" (or the merging method's own) and "coordinate".
    Raster order. Cost: that of the inner method.

    Attributes:
        of: The inner method.
        share: Share of the budget for coordinates, in [0, 1).

    Source: IVC-Prune, arXiv 2602.03060, its ablation on other methods.
    """

    name: ClassVar[str] = "ivc_add_on"
    title: ClassVar[str] = "with coordinates"
    summary: ClassVar[str] = "another method, part of the budget reserved for coordinate tokens"
    needs: ClassVar[frozenset[str]] = frozenset({"rotary_cosine", "rotary_sine"})
    origin: ClassVar[Origin] = ORIGIN
    role: ClassVar[str] = "coordinate"

    positions: Positions = "original"
    of: Pruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all
    share: ShareBelowOne = 0.1

    def added(self, cues: Cues, kept: Int[Tensor, "k"], count: int) -> Int[Tensor, "count"]:
        """The best coordinates that are not kept."""
        cosine, sine = cues.float32("rotary_cosine"), cues.float32("rotary_sine")
        ranking = coordinate_ranking(cosine, sine).to(kept.device)
        return add_coordinates(kept, ranking, len(kept) + count)[len(kept) :]


@dataclass(frozen=True, kw_only=True)
class IvcLayerAddOn(LayerWrapper):
    """Reserves a share of the tokens that each drop of another method leaves for coordinates.

    As ``ivc_add_on``, inside the language model. Tokens that the inner method makes of several
    (SparseVLM's recycled ones) stay, and coordinates are added among those that it does not keep as
    they are. Cost: that of the inner method.

    Attributes:
        of: The inner method, at layers of the language model alone.
        share: Share of the kept tokens for coordinates, in [0, 1).

    Source: IVC-Prune, arXiv 2602.03060, its ablation on FastV and PyramidDrop.
    """

    name: ClassVar[str] = "ivc_layer_add_on"
    title: ClassVar[str] = "with coordinates, in the LLM"
    summary: ClassVar[str] = (
        "another method inside the language model, part of what it keeps reserved for coordinates"
    )
    reads: ClassVar[frozenset[str]] = frozenset({"rotary"})
    origin: ClassVar[Origin] = ORIGIN

    of: LayerPruner = FastV()  # noqa: RUF009 - frozen, so one instance may serve all
    share: ShareBelowOne = 0.1

    def min_kept(self, n_tokens: int) -> int:
        """What leaves the inner method as many tokens as it needs."""
        needed = self.of.min_kept(n_tokens)
        return next(n for n in count_from(needed) if inner_budget(n, self.share) >= needed)

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """The inner method's tokens, then coordinates."""
        chosen = self.of.reduce(scored, entering, inner_budget(count, self.share))
        n_made = 0 if chosen.weights is None else len(chosen.weights)
        cosine, sine = (part[scored.image].mean(dim=1) for part in scored.rotary())
        ranking = coordinate_ranking(cosine, sine)
        places = add_coordinates(chosen.places, ranking, count - n_made)
        return replace(chosen, places=ascending(places))
