"""Worst first: any score turned around, before the language model and inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.layers.base import DropResult, LayerPruner, LayerScorePruner, LayerView
from litelvlm.pruning.layers.wrapping import LayerWrapper
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.methods.fastv import FastV

# How methods that rank by no single score of every token are turned around instead.
OTHERWISE = {
    "litelvlm": "litelvlm has direction='highest' instead",
    "trim": "trim has sign=1 instead",
    "mask_oracle": "inverse_mask_oracle is its opposite",
    "ivc_layer_add_on": "reverse what it holds: of='fastv', for example",
}


def refusal(name: str, inner: object, of: str) -> ValueError:
    """The error for a method without a score, with what to do instead."""
    instead = OTHERWISE.get(getattr(inner, "name", ""), f"take for example of={of!r}")
    return ValueError(f"{name} needs a method that ranks by one score, got of={inner!r}; {instead}")


@dataclass(frozen=True, kw_only=True)
class Reverse(ScorePruner):
    """Keeps the lowest scores of another method; a method whose reverse does as well carries no signal.

    Cost: that of the other method.

    Attributes:
        of: The method turned around; it must rank all tokens by one score, before the language
            model.
    """

    name: ClassVar[str] = "reverse"
    summary: ClassVar[str] = "lowest scores of another method"

    of: ScorePruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "needs", self.of.needs)
        object.__setattr__(self, "text_guided", self.of.text_guided)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Refuse a method without a score, next to what every method refuses."""
        super().check_options(options)
        inner = options.get("of", cls.of)
        if isinstance(inner, LayerPruner):
            raise ValueError(
                f"reverse turns scores before the language model around, got of={inner!r}, which drops tokens inside "
                "it; take layer_reverse"
            )
        if not isinstance(inner, ScorePruner):
            raise refusal(cls.name, inner, "value_norm")

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The other method's score, negated."""
        return -self.of.score(cues)


@dataclass(frozen=True, kw_only=True)
class LayerReverse(LayerWrapper):
    """Keeps the lowest scores at each drop of another method inside the language model.

    As ``reverse``; what the other method does besides stays: SparseVLM recycles the worst of what
    it drops, and LVLM_CSP's evenly spaced representatives, which no score chooses, are the same.
    Cost: that of the other method.

    Attributes:
        of: The method turned around; it must rank the remaining tokens by one score.
    """

    name: ClassVar[str] = "layer_reverse"
    summary: ClassVar[str] = "lowest scores of another method inside the language model"

    of: LayerScorePruner = FastV()  # noqa: RUF009 - frozen, so one instance may serve all

    @classmethod
    def check_inner(cls, inner: object) -> None:
        """Refuse a method without a score.

        Raises:
            ValueError: Naming the method and what to do instead.
        """
        super().check_inner(inner)
        if not isinstance(inner, LayerScorePruner):
            raise refusal(cls.name, inner, "fastv")

    def keep(self, scored: LayerView, entering: LayerView, count: int) -> Int[Tensor, "count"]:
        """The tokens that stay as they are."""
        return self.reduce(scored, entering, count).places

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """What the other method leaves if its score is negated."""
        return self.of.keep_by(-self.of.score(scored, entering), entering, count)
