"""The oracle of removal: keep the blocks of the image whose loss hurts the unpruned mask most."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues


@dataclass(frozen=True, kw_only=True)
class BlockLoo(ScorePruner):
    """Keeps blocks whose removal costs most: ``s_i = y(all) - y(all without the block of i)``.

    The grid is cut into 6 x 6 blocks, and y is the soft Dice of a prediction with the unpruned one,
    so no label is needed. Tokens of a block share its score; the last block is kept from its first
    token on. Oracle: it shows how well removals of one block predict what several removals do.
    Cost: 37 passes of the language model.
    """

    name: ClassVar[str] = "block_loo"
    title: ClassVar[str] = "leave a block out"
    summary: ClassVar[str] = "blocks whose removal changes the unpruned mask most (oracle)"
    needs: ClassVar[frozenset[str]] = frozenset({"block_importance"})
    text_guided: ClassVar[bool] = True

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Importance of the token's block."""
        return cues.float32("block_importance")
