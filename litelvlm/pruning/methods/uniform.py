"""The uniform control: tokens spread evenly over the image."""

from dataclasses import dataclass
from typing import ClassVar

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import uniform_indices
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class Uniform(Pruner):
    """Keeps the tokens at the centres of a regular grid; blind to image and text.

    Budgets without a balanced grid (a prime, say) take evenly spaced raster indices. Costs nothing.
    """

    name: ClassVar[str] = "uniform"
    title: ClassVar[str] = "uniform grid"
    summary: ClassVar[str] = "tokens on a regular grid"
    video_substitute: ClassVar[str] = "random"

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Sample the grid."""
        return RawSelection(uniform_indices(budget, cues.grid))
