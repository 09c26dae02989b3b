"""Centre distance: the photographer's bias as a method."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues


@dataclass(frozen=True, kw_only=True)
class CentreDistance(ScorePruner):
    """Keeps the patches nearest to the image centre: ``s_i = -|(row, col) - centre|^2`` in cells.

    Control: referents sit near the centre, so a selector has to beat this before it can claim to
    have found one. Cost: N squares, of the grid alone.
    """

    name: ClassVar[str] = "centre_distance"
    title: ClassVar[str] = "nearest to the centre"
    summary: ClassVar[str] = "patches nearest to the centre"

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Squared distance in each frame, negated; exact in float32, so mirrored cells tie."""
        rows, columns = (torch.arange(size) - (size - 1) / 2 for size in cues.grid)
        return -(rows[:, None] ** 2 + columns**2).flatten().repeat(cues.frames)
