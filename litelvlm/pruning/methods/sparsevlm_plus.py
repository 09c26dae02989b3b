"""SparseVLM+: rater attention corrected for distance, in the heads that see the image most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.layers.base import LayerView
from litelvlm.pruning.layers.rated_drops import RatedDrops
from litelvlm.pruning.options import ShareAboveZero
from litelvlm.pruning.positions import Positions
from litelvlm.pruning.ranking import highest

# Mean cosine over the 64 rotary frequencies of a 7B model is at least 0.099 for the first 800
# distances.
MIN_DISTANCE_FACTOR = 0.05


@dataclass(frozen=True, kw_only=True)
class SparseVLMPlus(RatedDrops):
    """SparseVLM without recycling, by attention that is corrected for distance, in some heads only.

    Tokens keep their original positions. ``B[h, j, i] = A[h, j, i] / g(p_j - p_i)`` with ``g(d) =
    mean_f cos(d theta_f)``, the rotary product of two equal vectors d positions apart; then the
    mean over raters j and over the heads in which ``sum_j sum_i B[h, j, i]`` is largest. Cost: one
    attention row per rater and drop.

    With the few frequencies of small heads g can be 0 or negative, which would reverse the ranking;
    values below 0.05 count as 0.05. Heads of 128 channels never get there within 800 positions.

    Attributes:
        head_share: Share of the heads that are read; the released code reads 14 of 32.

    Source: SparseVLM, official code (version 2.0). Schedules for a budget are ours.
    """

    name: ClassVar[str] = "sparsevlm_plus"
    title: ClassVar[str] = "SparseVLM+"
    summary: ClassVar[str] = (
        "drops at three depths by distance-corrected attention of text raters in the best heads"
    )
    reads: ClassVar[frozenset[str]] = frozenset({"attention", "rotary"})
    origin: ClassVar[Origin] = Origin("arXiv 2410.04417", "Apache-2.0", "A")
    released: ClassVar[Mapping[int, tuple[int, ...]]] = {
        192: (300, 200, 118),
        128: (238, 108, 60),
        96: (246, 54, 28),
        64: (66, 34, 20),
    }

    positions: Positions = "original"
    head_share: ShareAboveZero = 14 / 32

    def after_drop(self, n_kept: int, n_tokens: int) -> int:
        """Kept tokens alone."""
        return n_kept

    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Corrected attention to each visual token, mean over raters and the best heads."""
        cos, sin = scored.rotary()
        factor = (
            cos[scored.queries] @ cos[scored.image].T + sin[scored.queries] @ sin[scored.image].T
        )
        corrected = scored.attention(scored.queries)[:, :, scored.image] / (
            factor / cos.shape[1]
        ).clamp(min=MIN_DISTANCE_FACTOR)
        totals = corrected.sum(dim=(1, 2))
        heads = highest(totals, max(1, round_half_up(self.head_share * len(totals))))
        return corrected[heads].mean(dim=(0, 1))
