"""The oracle of sensitivity: keep the tokens that the unpruned mask depends on to first order."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues


@dataclass(frozen=True, kw_only=True)
class LlmGradient(ScorePruner):
    """Keeps the tokens with the largest gradient times input: ``s_i = || dy/dP_i * P_i ||_1``.

    P are the projected tokens and y the mean mask logit inside the unpruned prediction, so no label
    is needed. Oracle: it spends a forward and a backward pass to prune the next one. Cost: both of
    them, weights without gradients.
    """

    name: ClassVar[str] = "llm_gradient"
    title: ClassVar[str] = "gradient x input"
    summary: ClassVar[str] = "tokens that the unpruned mask is most sensitive to (oracle)"
    needs: ClassVar[frozenset[str]] = frozenset({"llm_gradient", "projected"})
    text_guided: ClassVar[bool] = True

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Sum of the absolute products."""
        return (cues.float32("llm_gradient") * cues.float32("projected")).abs().sum(dim=1)
