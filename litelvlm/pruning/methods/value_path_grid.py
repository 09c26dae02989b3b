"""Value-path similarity with most of the budget spread over the image."""

from dataclasses import dataclass
from typing import ClassVar

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.methods.value_path import ValuePath
from litelvlm.pruning.methods.with_uniform import WithUniform


@dataclass(frozen=True, kw_only=True)
class ValuePathGrid(WithUniform):
    """A third of the budget goes to the patches that resemble the text, the rest to an even grid.

    Evenly spaced tokens are chosen among those that the ranking left out. Raster order, contiguous
    positions. Cost: that of the inner method.

    Attributes:
        of: The ranking.
        share: Share of the budget for the grid, in [0, 1).
    """

    name: ClassVar[str] = "value_path_grid"
    title: ClassVar[str] = "value path with grid"
    summary: ClassVar[str] = "patches that resemble the text in CLIP's values, and an even grid"

    of: Pruner = ValuePath()  # noqa: RUF009 - frozen, so one instance may serve all
    share: float = 2 / 3
