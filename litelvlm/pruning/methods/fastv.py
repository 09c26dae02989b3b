"""FastV: one drop after the first layers, by the attention of one text token."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.layers.base import LayerScorePruner, LayerView
from litelvlm.pruning.layers.drops import SingleDrop


@dataclass(frozen=True, kw_only=True)
class FastV(SingleDrop, LayerScorePruner):
    """Drops visual tokens once, before layer K: ``s_i = mean_h A[h, query, i]`` of layer K - 1.

    Kept tokens keep their positions. Cost: one attention row, computed from the states that enter
    layer K - 1, so no kernel changes.

    The released code has two forms: one masks tokens, ranks again at every generated token and
    saves nothing (used for the paper's accuracy); the other drops them once and is what this class
    does.

    Source: FastV, official code (KV-cache form); arXiv 2403.06764.
    """

    name: ClassVar[str] = "fastv"
    title: ClassVar[str] = "FastV"
    summary: ClassVar[str] = (
        "one drop inside the language model, by the attention of the prompt's last token"
    )
    text_guided: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"attention"})
    origin: ClassVar[Origin] = Origin("arXiv 2403.06764", "none", "A")
    look_back: ClassVar[int] = 1

    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Attention in the layer before."""
        return scored.image_attention()
