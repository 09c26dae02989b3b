"""Value norm: what LiteLVLM's context score nearly is."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.ranking import row_norms


@dataclass(frozen=True, kw_only=True)
class ValueNorm(ScorePruner):
    """Keeps the patches with the largest value vectors: ``s_i = |V_i|_2``.

    Values of the last block, heads joined. Control for LiteLVLM's context tokens, whose attention
    factor varies by a few percent only. Cost: N x D.
    """

    name: ClassVar[str] = "value_norm"
    title: ClassVar[str] = "value norm"
    summary: ClassVar[str] = "patches with the largest value norm"
    needs: ClassVar[frozenset[str]] = frozenset({"values"})

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """L2 norm of each value row."""
        return row_norms(cues.float32("values"))
