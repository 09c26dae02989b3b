"""FasterVLM: CLS attention alone."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Origin, ScorePruner
from litelvlm.pruning.cues import Cues


@dataclass(frozen=True, kw_only=True)
class FasterVLM(ScorePruner):
    """Keeps the patches CLS attends to most: ``s_i = mean_h A[h, CLS, i]``, second-last block.

    The minimal text-agnostic baseline. Raster order, contiguous positions. Cost: one attention row.

    Source: FasterVLM, official code; arXiv 2412.01818v1. Paper and code agree.
    """

    name: ClassVar[str] = "fastervlm"
    title: ClassVar[str] = "FasterVLM"
    summary: ClassVar[str] = "patches with the highest CLS attention"
    needs: ClassVar[frozenset[str]] = frozenset({"cls_attention"})
    origin: ClassVar[Origin] = Origin("arXiv 2412.01818v1", "Apache-2.0", "A")

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """CLS attention itself."""
        return cues.float32("cls_attention")
