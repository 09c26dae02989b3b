"""One drop inside the language model: what FastV and DART share."""

from dataclasses import dataclass
from typing import ClassVar

from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.layers import LayerPruner, check_layers, scaled_layers
from litelvlm.pruning.positions import Positions


@dataclass(frozen=True, kw_only=True)
class SingleDrop(LayerPruner):
    """A method that drops visual tokens once, before layer K, and leaves the others at their positions.

    With N tokens and L layers an average of T leaves ``(L T - N K) / (L - K)`` tokens, rounded.

    Attributes:
        published: K as published, for 32 layers.
        layer: K; None takes the published one, the same depth in a model with others (at least 1).
    """

    published: ClassVar[int] = 2

    positions: Positions = "original"
    layer: int | None = None

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Layer K alone."""
        layers = scaled_layers((self.published,), n_layers) if self.layer is None else (self.layer,)
        return check_layers(layers, n_layers, self.look_back, "layer")

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """What the layers from K on may process."""
        (layer,) = self.drop_layers(n_layers)
        return (round_half_up((n_layers * budget - n_tokens * layer) / (n_layers - layer)),)
