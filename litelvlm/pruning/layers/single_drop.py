"""One drop inside the language model: what FastV, DART, IVC-Prune and Nuwa share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.layers.base import LayerPruner
from litelvlm.pruning.layers.depths import MATCHED, Depth, check_layers, refuse_both, scaled_layers
from litelvlm.pruning.positions import Positions


@dataclass(frozen=True, kw_only=True)
class SingleDrop(LayerPruner):
    """A method that drops visual tokens once, before layer K; the others keep their positions.

    With N tokens and L layers an average of T leaves ``(L T - N K) / (L - K)`` tokens, rounded.

    Attributes:
        published: K as published, for 32 layers.
        layer: K; None leaves it to ``depth``.
        depth: "published": the published K, the same depth in a model with other than 32 layers (at
            least 1). "budget": that one where the budget allows, else the first of its half, its
            quarter ... that does.
    """

    published: ClassVar[int] = 2
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"matched": MATCHED}

    positions: Positions = "original"
    layer: int | None = None
    depth: Depth = "published"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_both("layer", self.layer, self.depth)

    def candidate_schedules(self, n_layers: int) -> "Sequence[SingleDrop]":
        """The method with each layer that ``depth`` allows."""
        if self.depth == "published":
            return (self,)
        halved = [self.published >> times for times in range(self.published.bit_length())]
        layers = dict.fromkeys(scaled_layers((layer,), n_layers) for layer in halved)
        return tuple(replace(self, layer=layer, depth="published") for (layer,) in layers)

    def matched(self) -> "SingleDrop":
        """The layer left to the budget."""
        return replace(self, layer=None, depth="budget")

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Layer K alone."""
        layers = scaled_layers((self.published,), n_layers) if self.layer is None else (self.layer,)
        return check_layers(layers, n_layers, self.look_back, "layer")

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """What the layers from K on may process."""
        (layer,) = self.drop_layers(n_layers)
        return (round_half_up((n_layers * budget - n_tokens * layer) / (n_layers - layer)),)
