"""DART: one drop after the first layers that leaves tokens unlike a few pivots."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from litelvlm.pruning.base import Origin
from litelvlm.pruning.layers.base import DropResult, LayerView
from litelvlm.pruning.layers.drops import SingleDrop
from litelvlm.pruning.options import FromOne, FromZero
from litelvlm.pruning.ranking import ascending, highest, lowest, row_dots, unit_rows


@dataclass(frozen=True, kw_only=True)
class Dart(SingleDrop):
    """Drops visual tokens once, before layer K: keeps pivots, and the tokens least like each pivot.

    Pivots are the visual and the text tokens with the largest L1 norm of layer K - 1's key.
    Likeness is the cosine of the states that enter layer K, after the model's final norm. Visual
    pivots are kept. The rest of the budget is divided equally among all pivots, and each chooses
    its share in the order of the sequence; the first pivots choose one token more if the division
    leaves a remainder. The released code drops that remainder, so its count differs from the
    budget, and its pivots choose in the order of a hash table. K = 2 is what the released
    evaluation scripts set. No attention and no query token is read: ``query_token`` changes
    nothing. Cost: one layer's keys, and a cosine per pivot and token.

    Attributes:
        image_pivots: Visual pivots, from 1; they are kept.
        text_pivots: Pivots among the tokens after the image.

    Source: DART, official code (read in part); arXiv 2502.11494.
    """

    name: ClassVar[str] = "dart"
    title: ClassVar[str] = "DART"
    summary: ClassVar[str] = (
        "one drop inside the language model that keeps tokens unlike a few pivots"
    )
    text_guided: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"keys", "states"})
    origin: ClassVar[Origin] = Origin("arXiv 2502.11494", "Apache-2.0", "B")
    look_back: ClassVar[int] = 1

    image_pivots: FromOne = 4
    text_pivots: FromZero = 4

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Visual pivots, then each pivot's least similar tokens."""
        start, stop = entering.image.start, entering.image.stop
        strength = scored.keys().abs().sum(dim=-1)
        pivots = ascending(highest(strength[start:stop], min(self.image_pivots, count)))
        words = ascending(highest(strength[stop:], self.text_pivots)) + stop
        units = unit_rows(entering.states())
        free = torch.ones(stop - start, dtype=torch.bool, device=units.device)
        free[pivots] = False
        every_pivot = [*(pivots + start).tolist(), *words.tolist()]
        share, extra = divmod(count - len(pivots), len(every_pivot))
        for number, pivot in enumerate(every_pivot):
            rest = free.nonzero().flatten()
            likeness = row_dots(units[start:stop][rest], units[pivot])
            free[rest[lowest(likeness, share + (number < extra))]] = False
        return DropResult((~free).nonzero().flatten())
