"""Another method with a part of the budget spread over the image."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import spread
from litelvlm.pruning.methods.fastervlm import FasterVLM
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.ranking import complement
from litelvlm.pruning.wrapping import AddOn


@dataclass(frozen=True, kw_only=True)
class WithUniform(AddOn):
    """Another method chooses ``R - round(share R)`` tokens; evenly spaced others fill the budget.

    Tokens that a merging method makes stay, and coverage is spread over all that it does not keep
    or merge into. Control: selectors that crowd a few places leave the rest of the image blank, and
    uniform tokens alone are a strong baseline; this shows what coverage adds to a ranking. Roles
    are "chosen" and "uniform". Raster order, contiguous positions. Cost: that of the inner method.

    Attributes:
        of: The inner method.
        share: Share of the budget for coverage, in [0, 1).
    """

    name: ClassVar[str] = "with_uniform"
    title: ClassVar[str] = "with uniform tokens"
    summary: ClassVar[str] = "another method, part of the budget reserved for even coverage"
    role: ClassVar[str] = "uniform"

    of: Pruner = FasterVLM()  # noqa: RUF009 - frozen, so one instance may serve all
    share: ShareBelowOne = 0.25

    def added(self, cues: Cues, kept: Int[Tensor, "k"], count: int) -> Int[Tensor, "count"]:
        """Evenly spaced tokens among those not kept."""
        return spread(complement(kept, cues.n_tokens), count)
