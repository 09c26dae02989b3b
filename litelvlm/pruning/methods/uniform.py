"""The uniform control: tokens spread evenly over the image or the clip."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import equal_parts, frame_grids, whole_frames
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class Uniform(Pruner):
    """Keeps the tokens at the centres of a regular grid; blind to image and text.

    Budgets without a balanced grid (a prime, say) take evenly spaced raster indices. Costs nothing.

    Attributes:
        frames: Of a clip: "each" frame keeps an equal part on a grid of its own. "first" keeps the
            first frame, and the following ones only as far as the budget is larger than a frame.
    """

    name: ClassVar[str] = "uniform"
    title: ClassVar[str] = "uniform grid"
    summary: ClassVar[str] = "tokens on a regular grid"

    frames: Literal["each", "first"] = "each"

    @property
    def among_frames(self) -> bool:
        """Where it keeps the first one."""
        return self.frames == "first"

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Sample the grid."""
        if self.frames == "first":
            counts = whole_frames(budget, range(cues.frames), cues.layout)
        else:
            counts = equal_parts(budget, cues.frames)
        return RawSelection(frame_grids(counts, cues.layout))
