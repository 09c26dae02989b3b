"""PyramidDrop: several drops at growing depth, each by the same ratio."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import ClassVar, Literal

from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.layers.base import LayerScorePruner, LayerView
from litelvlm.pruning.layers.drops import SeveralDrops


@dataclass(frozen=True, kw_only=True)
class PyramidDrop(SeveralDrops, LayerScorePruner):
    """Drops visual tokens before several layers l: ``s_i = mean_h A_l[h, query, i]``.

    The attention is computed from the states that enter l. The released schedule keeps half of the
    tokens at each of three layers, 270 of 576 on average. For other budgets the authors publish
    none; here every drop keeps the same ratio, ``floor(N ratio^j)`` tokens after the j-th, with the
    ratio whose unrounded average is the budget. Kept tokens are renumbered without gaps, text
    behind them too. Cost: one attention row per drop.

    Source: PyramidDrop, official code; arXiv 2410.17247. The query is the last token of the
    instruction in the paper, as here. The code does so when it answers and averages several tokens
    in training. The paper ranks with the layer before the drop. Schedules for a budget are ours.

    Attributes:
        ranked_at: Layer whose attention ranks the tokens: "behind" the drop as the code, or
            "before" it as the paper.
    """

    name: ClassVar[str] = "pyramiddrop"
    title: ClassVar[str] = "PyramidDrop"
    summary: ClassVar[str] = (
        "drops at three depths of the language model, by the attention of the prompt's last token"
    )
    text_guided: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"attention"})
    origin: ClassVar[Origin] = Origin("arXiv 2410.17247", "MIT", "A")
    published: ClassVar[tuple[int, ...]] = (8, 16, 24)
    earlier: ClassVar[tuple[tuple[int, ...], ...]] = (
        (4, 8, 16),
        (2, 8, 16),
        (1, 4, 8),
        (0, 8, 16),
        (0, 8),
        (0,),
    )

    ranked_at: Literal["behind", "before"] = "behind"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "look_back", int(self.ranked_at == "before"))

    def candidate_schedules(self, n_layers: int) -> Sequence[SeveralDrops]:
        """The method with each tuple of layers that ``depth`` allows and that can be ranked."""
        found = super().candidate_schedules(n_layers)
        if self.depth == "published":
            return found
        return [one for one in found if one.layers and one.layers[0] >= self.look_back]

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

    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Attention in the layer that tokens are dropped before, or in the one before it."""
        return (entering if self.ranked_at == "behind" else scored).image_attention()
