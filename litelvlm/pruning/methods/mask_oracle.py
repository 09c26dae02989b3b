"""Oracles that see the true mask: a perfect selector, and one without the referent's tokens."""

import logging
from dataclasses import dataclass
from typing import ClassVar

import torch

from litelvlm.pruning.base import Pruner
from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import spread
from litelvlm.pruning.options import ShareAboveZero
from litelvlm.pruning.ranking import complement, highest, lowest
from litelvlm.pruning.selection import RawSelection

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MaskOracle(Pruner):
    """Keeps the cells the true mask covers most, and spreads the rest of the budget evenly.

    Cells that the mask does not touch never count as the target's. So a small referent leaves more
    tokens to the even rest, and a referent outside the crop leaves all of them to it. Roles are
    "target" and "uniform", so both can be counted. Cost: one sort, and the truth.

    Attributes:
        share: Share of the budget the target may take, in (0, 1]; 0.5 and 1.0 are the published
            controls.
    """

    name: ClassVar[str] = "mask_oracle"
    title: ClassVar[str] = "mask oracle"
    summary: ClassVar[str] = "tokens of the true mask, then evenly spread ones"
    needs: ClassVar[frozenset[str]] = frozenset({"coverage"})

    share: ShareAboveZero = 0.5

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Target cells by coverage, then evenly spaced ones among the others."""
        coverage = cues.float32("coverage")
        n_target = min(round_half_up(self.share * budget), int((coverage > 0).sum()))
        target = highest(coverage, n_target)
        rest = spread(complement(target, cues.n_tokens), budget - n_target)
        return RawSelection.with_two_roles(torch.cat([target, rest]), n_target, "target", "uniform")


@dataclass(frozen=True, kw_only=True)
class InverseMaskOracle(Pruner):
    """Keeps background only: evenly spaced cells that the true mask does not touch.

    Accuracy left under it shows how little the language model needs the referent's own tokens. If
    the budget exceeds the background, all of it is kept and the least covered cells follow; those
    have the role "spill" (others "background") and the shortage is logged, because the control is
    then no longer pure. Cost: one sort, and the truth.
    """

    name: ClassVar[str] = "inverse_mask_oracle"
    title: ClassVar[str] = "inverse mask oracle"
    summary: ClassVar[str] = "tokens outside the true mask"
    needs: ClassVar[frozenset[str]] = frozenset({"coverage"})

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Background cells, then the least covered ones."""
        coverage = cues.float32("coverage")
        background = (coverage == 0).nonzero().flatten()
        if len(background) >= budget:
            return RawSelection.with_two_roles(spread(background, budget), budget, "background")
        logger.info(
            "only %d background tokens for a budget of %d; the rest covers the target",
            len(background),
            budget,
        )
        return RawSelection.with_two_roles(
            lowest(coverage, budget), len(background), "background", "spill"
        )
