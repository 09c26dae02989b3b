"""Another method's score, negated: before the language model and inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Pruner, ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.layers.base import DropResult, LayerPruner, LayerScorePruner, LayerView
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.methods.fastv import FastV
from litelvlm.pruning.wrapping import LayerWrapper, Wrapper

OPPOSITES: Mapping[str, str] = MappingProxyType(
    {
        "litelvlm": "litelvlm(direction=highest)",
        "trim": "trim(sign=1)",
        "mask_oracle": "inverse_mask_oracle",
        "high_similarity": "low_similarity",
        "low_similarity": "high_similarity",
    }
)
"""What keeps the lowest scores of a method instead of ``reverse``."""
_INSTEAD = {
    "ivc_layer_add_on": "reverse the method it holds: of='fastv', for example",
    **{name: f"take {label}" for name, label in OPPOSITES.items()},
}
NO_SCORE = "it does not rank the tokens by one score"


@dataclass(frozen=True, kw_only=True)
class Reverse(Wrapper, ScorePruner):
    """Keeps the lowest scores of another method.

    A method whose reverse does as well carries no signal. Cost: that of the inner method.

    Attributes:
        of: The inner method; it must rank all tokens by one score, before the language model.
    """

    name: ClassVar[str] = "reverse"
    title: ClassVar[str] = "reversed ranking"
    summary: ClassVar[str] = "lowest scores of another method"
    example: ClassVar[str] = "value_norm"

    of: ScorePruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all

    @classmethod
    def why_not(cls, inner: Pruner) -> str:
        """Why a method cannot be held; empty if it can."""
        if isinstance(inner, LayerPruner):
            return "it drops tokens inside the language model"
        return "" if isinstance(inner, ScorePruner) else NO_SCORE

    @classmethod
    def instead(cls, inner: object) -> str:
        """What to do instead of holding ``inner``, for the error message."""
        if isinstance(inner, LayerPruner):
            return "take layer_reverse"
        return _INSTEAD.get(getattr(inner, "name", ""), super().instead(inner))

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """The inner method's score, negated."""
        return -self.of.score(cues)


@dataclass(frozen=True, kw_only=True)
class LayerReverse(LayerWrapper):
    """Keeps the lowest scores at each drop of another method inside the language model.

    As ``reverse``. What the inner method does besides ranking stays: SparseVLM recycles the worst
    of what it drops, and LVLM_CSP's evenly spaced representatives, which no score chooses, are the
    same. Cost: that of the inner method.

    Attributes:
        of: The inner method; it must rank the remaining tokens by one score.
    """

    name: ClassVar[str] = "layer_reverse"
    title: ClassVar[str] = "reversed ranking, in the LLM"
    summary: ClassVar[str] = "lowest scores of another method inside the language model"

    of: LayerScorePruner = FastV()  # noqa: RUF009 - frozen, so one instance may serve all

    @classmethod
    def why_not(cls, inner: Pruner) -> str:
        """Why a method cannot be held; empty if it can."""
        return super().why_not(inner) or ("" if isinstance(inner, LayerScorePruner) else NO_SCORE)

    @classmethod
    def instead(cls, inner: object) -> str:
        """What to do instead of holding ``inner``, for the error message."""
        return _INSTEAD.get(getattr(inner, "name", ""), super().instead(inner))

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """What the inner method leaves if its score is negated."""
        return self.of.keep_by(-self.of.score(scored, entering), entering, count)
