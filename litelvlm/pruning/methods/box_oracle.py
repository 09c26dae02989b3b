"""The oracle that sees only the true box: it shows how much a detector could help a selector."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import box_cells, spread
from litelvlm.pruning.options import FromZero, ShareAboveZero
from litelvlm.pruning.ranking import complement
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class BoxOracle(Pruner):
    """Spreads a share of the budget evenly over the true box, and the rest over what is left.

    The box is widened by a cell. Oracle between ``uniform`` and ``mask_oracle``: it knows where the
    referent is, not which cells of the box are its own. If the box has fewer cells than its share,
    the rest gets more tokens. If the referent lies outside the crop, the rest gets all of them.
    Roles are "target" and "uniform". Raster order, contiguous positions. Cost: the truth.

    Attributes:
        share: Share of the budget that the box may take, in (0, 1].
        margin: Cells that the box is widened by at every side.
    """

    name: ClassVar[str] = "box_oracle"
    title: ClassVar[str] = "box oracle"
    summary: ClassVar[str] = "tokens spread over the true box, then over the rest"
    needs: ClassVar[frozenset[str]] = frozenset({"box"})
    video_substitute: ClassVar[str] = "mask_oracle"

    share: ShareAboveZero = 0.5
    margin: FromZero = 1

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Evenly spaced cells of the box, then evenly spaced ones among the others."""
        inside = box_cells(cues.float32("box"), cues.grid, self.margin).nonzero().flatten()
        target = spread(inside, min(round_half_up(self.share * budget), len(inside)))
        rest = spread(complement(target, cues.n_tokens), budget - len(target))
        return RawSelection.with_two_roles(
            torch.cat([target, rest]), len(target), "target", "uniform"
        )
