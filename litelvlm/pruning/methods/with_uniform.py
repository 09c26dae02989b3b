"""Another method with a part of the budget spread over the image."""

from dataclasses import dataclass
from typing import ClassVar

from litelvlm.pruning.base import RawSelection
from litelvlm.pruning.budgets import check_share, round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.methods.uniform import spread
from litelvlm.pruning.ranking import complement
from litelvlm.pruning.wrapping import Wrapper


@dataclass(frozen=True, kw_only=True)
class WithUniform(Wrapper):
    """Lets another method choose ``R - round(share R)`` tokens and spreads the others evenly over what it left.

    Tokens that a merging method makes stay, and coverage is spread over all that it does not keep
    or merge into.
    Control: selectors that crowd a few places leave the rest of the image blank, and uniform tokens
    alone are a strong baseline; this tells what coverage adds to a ranking. Roles are "chosen" and
    "uniform". Raster order, contiguous
    positions. Cost: that of the other method.

    Attributes:
        share: Share of the budget for coverage, in [0, 1).
    """

    name: ClassVar[str] = "with_uniform"
    summary: ClassVar[str] = "another method, part of the budget reserved for even coverage"

    takes_merged: ClassVar[bool] = True

    share: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.share, "share", high_open=True)

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """The other method's tokens, then evenly spaced ones among the others."""
        n_chosen = max(1, budget - round_half_up(self.share * budget))
        chosen = self.of.choose(cues, n_chosen)
        covering = spread(
            complement(chosen.indices[chosen.indices >= 0], cues.n_tokens), budget - n_chosen
        )
        return self.extended(chosen, covering, cues, "uniform")
