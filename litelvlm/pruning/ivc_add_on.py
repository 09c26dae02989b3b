"""Implicit visual coordinates as an addition to another method: before the language model, and inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import Choice
from litelvlm.pruning.budgets import check_share, round_half_up
from litelvlm.pruning.coordinates import add_coordinates, coordinate_ranking
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.fastv import FastV
from litelvlm.pruning.layers import LayerPruner, LayerView, QueryToken
from litelvlm.pruning.origin import Origin
from litelvlm.pruning.positions import Positions
from litelvlm.pruning.ranking import ascending
from litelvlm.pruning.roles import two_roles
from litelvlm.pruning.wrapping import Wrapper

ORIGIN = Origin("arXiv 2602.03060", "none", "B")


def other_tokens(budget: int, share: float) -> int:
    """Tokens that the inner method chooses, at least one."""
    return max(1, budget - round_half_up(share * budget))


@dataclass(frozen=True, kw_only=True)
class IvcAddOn(Wrapper):
    """Lets another method choose ``R - round(share R)`` tokens and adds the best coordinates that it left out.

    Coordinates have the largest mean rotary cosine or sine at their unpruned position (see
    ``litelvlm.pruning.coordinates``), so positions are the original ones. Roles are "chosen" and "coordinate". Raster
    order. Cost: that of the other method.

    Attributes:
        share: Share of the budget for coordinates, in [0, 1).

    Source: IVC-Prune, arXiv 2602.03060, its ablation on other methods.
    """

    name: ClassVar[str] = "ivc_add_on"
    summary: ClassVar[str] = "another method, part of the budget reserved for coordinate tokens"
    needs: ClassVar[frozenset[str]] = frozenset({"rotary_cosine", "rotary_sine"})
    origin: ClassVar[Origin] = ORIGIN

    positions: Positions = "original"
    share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.share, "share", high_open=True)

    def choose(self, cues: Cues, budget: int) -> Choice:
        """The other method's tokens, then coordinates."""
        n_chosen = other_tokens(budget, self.share)
        chosen = self.of.choose(cues, n_chosen).indices
        ranking = coordinate_ranking(cues.float32("rotary_cosine"), cues.float32("rotary_sine"))
        return two_roles(add_coordinates(chosen, ranking.to(chosen.device), budget), n_chosen, "chosen", "coordinate")


@dataclass(frozen=True, kw_only=True)
class IvcLayerAddOn(LayerPruner):
    """Reserves a share of what each drop of another method leaves for coordinate tokens.

    As ``ivc_add_on``, inside the language model: layers, counts and the query token are the other method's, and tokens
    that it brings back come back; positions are this one's own.

    Attributes:
        of: The other method; it keeps plain tokens at layers of the language model.
        share: Share of the kept tokens for coordinates, in [0, 1).
        query_token: Who asks instead; None leaves it to the other method.

    Source: IVC-Prune, arXiv 2602.03060, its ablation on FastV and PyramidDrop.
    """

    name: ClassVar[str] = "ivc_layer_add_on"
    summary: ClassVar[str] = "another method inside the language model, part of what it keeps reserved for coordinates"
    text_guided: ClassVar[bool] = True
    origin: ClassVar[Origin] = ORIGIN

    positions: Positions = "original"
    query_token: Literal[QueryToken, None] = None  # type: ignore[assignment]  # read through ``asks`` only
    of: LayerPruner = FastV()  # noqa: RUF009 - frozen, so one instance may serve all
    share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.share, "share", high_open=True)
        object.__setattr__(self, "look_back", self.of.look_back)
        object.__setattr__(self, "returning", self.of.returning)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a method that is not of its kind, next to what every method refuses."""
        super().check_options(options)
        inner = options.get("of", cls.of)
        if not isinstance(inner, LayerPruner) or inner.synthetic:
            raise ValueError(
                f"{cls.name} needs a method that keeps plain tokens inside the language model, got of={inner!r}; "
                "take for example of='fastv'"
            )

    @property
    def asks(self) -> QueryToken:
        """The query token given, else that of the other method."""
        return self.query_token or self.of.asks

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Those of the other method."""
        return self.of.drop_layers(n_layers)

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Those of the other method."""
        return self.of.kept_counts(budget, n_tokens, n_layers)

    def keep(self, scored: LayerView, entering: LayerView, count: int) -> Int[Tensor, "count"]:
        """The other method's tokens, then coordinates."""
        chosen = self.of.keep(scored, entering, other_tokens(count, self.share))
        cos, sin = (part[scored.image].mean(dim=1) for part in scored.rotary())
        return ascending(add_coordinates(chosen, coordinate_ranking(cos, sin), count))
