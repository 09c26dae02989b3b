"""What one drop leaves, and what all drops of a conversation left."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.selection import Selection


@dataclass(frozen=True, eq=False)
class DropResult:
    """What a drop leaves of the remaining visual tokens.

    Attributes:
        places: Tokens that stay, ascending.
        weights: Tokens made of several, which follow them: mixing weights over the remaining
            tokens; None for none.
        stand_for: For each of those, the remaining token whose place in the image it takes.
    """

    places: Int[Tensor, "k"]
    weights: Float[Tensor, "m r"] | None = None
    stand_for: Int[Tensor, "m"] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerTrace(Selection):
    """The visual tokens that a ``LayerPlan`` left; as a selection, those of the last layer.

    Attributes:
        layers: Raster indices of the visual tokens that each layer processed, -1 for one made of
            several.
        sources: For each layer the merge weights that made its visual tokens: ``sources[l] @
            states`` are those that enter layer l, ``states`` those of the visual tokens that left
            layer l - 1 (for the first layer the patch tokens before the projector). None where no
            token was made of several.
    """

    layers: tuple[Int[Tensor, "_"], ...]
    sources: tuple[Float[Tensor, "_ _"] | None, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Visual tokens per layer."""
        return tuple(map(len, self.layers))

    @property
    def average(self) -> float:
        """Visual tokens per layer, mean over the layers."""
        return sum(self.counts) / len(self.counts)
