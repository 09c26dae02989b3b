"""Several drops inside the language model: the layers that PyramidDrop and SparseVLM drop tokens before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from litelvlm.pruning.layers import LayerPruner, check_layers, scaled_layers


@dataclass(frozen=True, kw_only=True)
class SeveralDrops(LayerPruner):
    """A method that drops visual tokens before several layers.

    Attributes:
        published: The layers as published, for 32.
        layers: Layers before which tokens are dropped, ascending; None takes the published ones, the same depths in a
            model with others. Small budgets need earlier layers.
    """

    published: ClassVar[tuple[int, ...]]

    layers: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers is not None:
            # A saved configuration holds a list, which could not be hashed.
            object.__setattr__(self, "layers", tuple(self.layers))

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a field value that its annotation does not allow."""
        layers = options.get("layers")
        if layers is not None:
            whole = isinstance(layers, list | tuple) and all(type(layer) is int for layer in layers)
            if not whole:
                raise ValueError(f"layers {layers!r} is not allowed; give whole numbers, for example (8, 16, 24)")
        super().check_options({name: value for name, value in options.items() if name != "layers"})

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """The field, or the published depths."""
        layers = scaled_layers(self.published, n_layers) if self.layers is None else self.layers
        return check_layers(layers, n_layers, self.look_back, "layers")
