"""What a method sees of one layer of the language model, and what a drop leaves."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.ranking import ascending, highest
from litelvlm.pruning.selection import Selection

QueryToken = Literal["last", "last_prompt", "seg", "mean_text", "raters"]


class LayerView(ABC):
    """One conversation as it enters one layer: what a method may rank its visual tokens by.

    Attributes:
        index: The layer, from 0.
        image: Where the remaining visual tokens are in the sequence.
        queries: Sequence indices of the query tokens (see ``LayerPruner``); all of them come after
            the image.
        hidden_states: States that enter the layer [s, d], in the model's number type.
    """

    index: int
    image: slice  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
    queries: Int[Tensor, "q"]
    hidden_states: Float[Tensor, "s d"]

    @abstractmethod
    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """The layer's attention rows of some tokens over the whole sequence, float32."""

    @abstractmethod
    def keys(self) -> Float[Tensor, "s k"]:
        """The layer's keys with their rotation, heads joined, float32."""

    @abstractmethod
    def values(self) -> Float[Tensor, "s heads e"]:
        """The layer's values, which carry no rotation, float32."""

    @abstractmethod
    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """Cosine and sine of the rotary angles at each position, every angle twice, float32."""

    @abstractmethod
    def states(self) -> Float[Tensor, "s d"]:
        """States that enter the layer, after the model's final norm, float32."""

    def image_attention(self) -> Float[Tensor, "r"]:
        """Attention from the query tokens to each visual token, mean over heads and queries."""
        return self.attention(self.queries)[:, :, self.image].mean(dim=(0, 1))

    def most_attended(self, count: int) -> Int[Tensor, "count"]:
        """Places of the visual tokens with the most attention, ascending."""
        return ascending(highest(self.image_attention(), count))


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

    def problem(self, n_tokens: int, count: int) -> str:
        """What no drop to ``count`` tokens leaves, in words; empty if nothing is wrong."""
        places, made = self.places, 0 if self.weights is None else len(self.weights)
        if not isinstance(places, Tensor) or places.ndim != 1 or places.dtype != torch.int64:
            return f"places that are no line of whole numbers (int64): {places!r}"
        if len(places) + made != count or (self.weights is None) != (self.stand_for is None):
            return f"{len(places)} tokens and {made} made of several"
        if bool((places[1:] <= places[:-1]).any()) or not all(
            0 <= place < n_tokens for place in places[[0, -1] if len(places) else []].tolist()
        ):
            return f"the places {places.tolist()}"
        return ""


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
