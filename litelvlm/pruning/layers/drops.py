"""One drop or several: what methods inside the language model share.

Published layers are those of a model of 32; they are found in models of other depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Literal

from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.layers.base import LayerPruner
from litelvlm.pruning.positions import Positions

Depth = Literal["published", "budget"]
# The preset of every method that drops at published layers by default.
MATCHED: Mapping[str, str] = MappingProxyType({"depth": "budget"})
PUBLISHED_DEPTH = 32  # layers of the 7B model that every published layer number means


def scaled_layers(published: Sequence[int], n_layers: int) -> tuple[int, ...]:
    """Layers at the same relative depth as published for 32 layers, rounded and all different.

    Only layer 0 becomes layer 0.

    Example:
        >>> scaled_layers((8, 16, 24), 4), scaled_layers((2,), 4), scaled_layers((2,), 32)
        ((1, 2, 3), (1,), (2,))
    """
    last = n_layers - 1
    return tuple(
        sorted(
            {
                min(max(round_half_up(layer * n_layers / PUBLISHED_DEPTH), min(layer, 1)), last)
                for layer in published
            }
        )
    )


# mypy gives a plain slice arguments of Any; it takes none at run time before Python 3.13.
def middle_layers(n_layers: int) -> slice:  # type: ignore[explicit-any, unused-ignore]  # see above
    """Layers 10 to 20 of 32; in another model, every layer that reaches into this stretch.

    Example:
        >>> middle_layers(32), middle_layers(4)
        (slice(10, 21, None), slice(1, 3, None))
    """
    return slice(10 * n_layers // 32, -(-21 * n_layers // 32))


def check_layers(layers: Sequence[int], n_layers: int, first: int, what: str) -> tuple[int, ...]:
    """Return the layers if they ascend within the model.

    Args:
        layers: Layers before which tokens are dropped.
        n_layers: Layers of the model.
        first: Lowest layer allowed.
        what: Field name for the message.

    Raises:
        ValueError: If not.
    """
    found = tuple(layers)
    if not found or list(found) != sorted(set(found)) or found[0] < first or found[-1] >= n_layers:
        raise ValueError(
            f"{what} {list(found)} must be different, ascending layers from {first} to "
            f"{n_layers - 1}: the language model has {n_layers}"
        )
    return found


def refuse_both(what: str, layers: object, depth: Depth) -> None:
    """Refuse given layers together with ``depth='budget'``, which finds the layers itself.

    Raises:
        ValueError: If both are given.
    """
    if layers is not None and depth == "budget":
        raise ValueError(
            f"{what} {layers!r} and depth='budget' both say where tokens are dropped; leave one out"
        )


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


@dataclass(frozen=True, kw_only=True)
class SeveralDrops(LayerPruner):
    """A method that drops visual tokens before several layers.

    Attributes:
        published: The layers as published, for 32.
        earlier: Layers that afford smaller budgets, for 32, in the order in which they are tried.
        layers: Layers before which tokens are dropped, ascending; None leaves them to ``depth``.
        depth: "published": the published layers, the same depths in a model with other than 32.
            "budget": those where the budget allows, else the first of ``earlier`` that do.
    """

    published: ClassVar[tuple[int, ...]]
    earlier: ClassVar[tuple[tuple[int, ...], ...]]
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"matched": MATCHED}

    layers: Sequence[int] | None = None
    depth: Depth = "published"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers is not None:
            # A saved configuration holds a list, which could not be hashed.
            object.__setattr__(self, "layers", tuple(self.layers))
        refuse_both("layers", self.layers, self.depth)

    @classmethod
    def check_options(cls, options: Mapping[str, object]) -> None:
        """Refuse a field value that its annotation does not allow."""
        layers = options.get("layers")
        if layers is not None:
            whole = isinstance(layers, list | tuple) and all(type(layer) is int for layer in layers)
            if not whole:
                raise ValueError(
                    f"layers {layers!r} is not allowed; give whole numbers, for example (8, 16, 24)"
                )
        super().check_options({name: value for name, value in options.items() if name != "layers"})

    def candidate_schedules(self, n_layers: int) -> "Sequence[SeveralDrops]":
        """The method with each tuple of layers that ``depth`` allows."""
        if self.depth == "published":
            return (self,)
        candidates = dict.fromkeys(
            scaled_layers(layers, n_layers) for layers in (self.published, *self.earlier)
        )
        return tuple(replace(self, layers=layers, depth="published") for layers in candidates)

    def matched(self) -> "SeveralDrops":
        """The layers left to the budget."""
        return replace(self, layers=None, depth="budget")

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """The field, or the published depths."""
        layers = scaled_layers(self.published, n_layers) if self.layers is None else self.layers
        return check_layers(layers, n_layers, self.look_back, "layers")
