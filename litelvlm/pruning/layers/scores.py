"""Methods inside the language model that rank the remaining visual tokens by one score."""

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.layers.base import LayerPruner
from litelvlm.pruning.layers.results import DropResult
from litelvlm.pruning.layers.view import LayerView
from litelvlm.pruning.ranking import ascending, highest


@dataclass(frozen=True, kw_only=True)
class LayerScorePruner(LayerPruner):
    """A method inside the language model that ranks the remaining visual tokens by one score."""

    @abstractmethod
    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Score of every remaining visual token; higher is kept. Arguments as of ``reduce``."""

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` tokens in all, by score."""
        return self.keep_by(self.score(scored, entering), entering, count)

    def keep_by(self, scores: Float[Tensor, "r"], entering: LayerView, count: int) -> DropResult:
        """Leave ``count`` tokens in all, by any scores; those with the highest stay."""
        return DropResult(ascending(highest(scores, count)))
