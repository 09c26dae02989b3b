"""PyramidDrop: several drops at growing depth, each by the same ratio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import Any, ClassVar

from jaxtyping import Int
from scipy.optimize import brentq
from torch import Tensor

from litelvlm.pruning.layers import LayerPruner, LayerView, check_layers, scaled_layers


@dataclass(frozen=True, kw_only=True)
class PyramidDrop(LayerPruner):
    """Drops visual tokens before several layers l: ``s_i = mean_h A_l[h, query, i]`` from the states that enter l.

    The released schedule keeps half of the tokens at each of three layers, 270 of 576 on average. For other budgets
    the authors publish none; here every drop keeps the same ratio, ``floor(N ratio^j)`` tokens after the j-th, with
    the ratio whose unrounded average is the budget. Kept tokens are renumbered without gaps, text behind them too.
    Cost: one attention row per drop.

    Attributes:
        layers: Layers before which tokens are dropped, from 0; None takes the published 8, 16, 24 of 32 layers, the
            same depths in a model with others. Small budgets need earlier layers.

    Source: PyramidDrop, official code; arXiv 2410.17247. Schedules for a budget are ours.
    """

    name: ClassVar[str] = "pyramiddrop"
    summary: ClassVar[str] = "drops at three depths of the language model, by the attention of the prompt's last token"

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
        layers = scaled_layers((8, 16, 24), n_layers) if self.layers is None else self.layers
        return check_layers(layers, n_layers, 0, "layers")

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """A geometric sequence whose average over the layers is the budget."""
        layers = self.drop_layers(n_layers)
        edges = (*layers, n_layers)
        widths = [after - before for before, after in pairwise(edges)]
        left = n_layers * budget / n_tokens - layers[0]
        if left <= 0:
            return (0,) * len(layers)

        def excess(ratio: float) -> float:
            return sum(width * ratio**step for step, width in enumerate(widths, start=1)) - left

        ratio = float(brentq(excess, 0.0, 1.0, xtol=1e-14))
        # The root is found to 1e-14, so a whole count may come out just below itself.
        return tuple(floor(n_tokens * ratio**step + 1e-6) for step in range(1, len(layers) + 1))

    def keep(self, scored: LayerView, entering: LayerView, count: int) -> Int[Tensor, "count"]:
        """The most attended tokens."""
        return entering.most_attended(count)
