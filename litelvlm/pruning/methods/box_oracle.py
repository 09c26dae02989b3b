"""The oracle that sees the true box only: how far a detector's answer would carry a selector."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Pruner, RawSelection
from litelvlm.pruning.budgets import check_share, round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.methods.uniform import spread
from litelvlm.pruning.ranking import complement
from litelvlm.pruning.roles import two_roles


def box_cells(
    inside: Float[Tensor, "n"], grid: tuple[int, int], margin: int = 0
) -> Float[Tensor, "n"]:
    """Mark the cells of the smallest box around all cells above 0, widened by ``margin`` cells, with 1.

    Example:
        >>> box_cells(torch.tensor([0.0, 0.0, 0.5, 0.0, 1.0, 0.0]), grid=(2, 3)).tolist()
        [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    """
    touched = inside.reshape(grid) > 0
    rows, columns = (widened(touched.any(dim=axis), margin) for axis in (1, 0))
    return (rows[:, None] & columns).float().flatten()


def widened(touched: Tensor, margin: int) -> Tensor:
    """Everything from the first to the last touched place, ``margin`` more at both ends."""
    where = torch.arange(len(touched), device=touched.device)
    found = where[touched]
    if len(found) == 0:
        return touched
    return (where >= found.min() - margin) & (where <= found.max() + margin)


@dataclass(frozen=True, kw_only=True)
class BoxOracle(Pruner):
    """Spreads a share of the budget evenly over the true box, widened by a cell, and the rest over what is left.

    Oracle between ``uniform`` and ``mask_oracle``: it knows where the referent is, not which cells
    of the box are its own. A box of fewer cells leaves more to the rest, a referent outside the
    crop everything. Roles are "target" and "uniform". Raster order, contiguous positions. Cost: the
    truth.

    Attributes:
        share: Share of the budget that the box may take, in (0, 1].
        margin: Cells that the box is widened by at every side.
    """

    name: ClassVar[str] = "box_oracle"
    summary: ClassVar[str] = "tokens spread over the true box, then over the rest"
    needs: ClassVar[frozenset[str]] = frozenset({"box"})

    share: float = 0.5
    margin: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.share, "share", low_open=True)
        if self.margin < 0:
            raise ValueError(f"margin {self.margin} is negative; give whole cells, 0 or above")

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Evenly spaced cells of the box, then evenly spaced ones among the others."""
        inside = box_cells(cues.float32("box"), cues.grid, self.margin).nonzero().flatten()
        target = spread(inside, min(round_half_up(self.share * budget), len(inside)))
        rest = spread(complement(target, cues.n_tokens), budget - len(target))
        return two_roles(torch.cat([target, rest]), len(target), "target", "uniform")
