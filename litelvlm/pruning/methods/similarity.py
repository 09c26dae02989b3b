"""Text-to-patch similarity, and the two methods that keep its extremes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import Precision, rounded, row_dots, unit_rows
from litelvlm.pruning.origin import Origin

Similarity = Literal["dot", "cosine"]


def text_similarity(
    cues: Cues, kind: Similarity = "dot", precision: Precision = "float32"
) -> Float[Tensor, "t n"]:
    """Similarity of every text with every patch in CLIP's joint space.

    "dot" is the raw product of the projected states. The norm of a text cannot change its own
    ranking, the norms of the patches do; so "cosine" ranks differently through the patch norms
    only. With "bfloat16" states and products are rounded as that number type rounds them; sums run
    in float32, as they do on a GPU.
    """
    texts, patches = (
        rounded(cues.float32(name), precision) for name in ("text_embeds", "patch_embeds")
    )
    if kind == "cosine":
        texts, patches = unit_rows(texts, precision), unit_rows(patches, precision)
    return rounded(torch.stack([row_dots(patches, text) for text in texts]), precision)


@dataclass(frozen=True, kw_only=True)
class HighSimilarity(ScorePruner):
    """Keeps the patches most similar to the text: ``s_i = mean_t <t_t, Z_i>``.

    The intuitive rule, and the null that LiteLVLM's reversal is measured against. Cost: one T x N
    product.

    Source: ablation in LiteLVLM's paper (arXiv 2605.13178); the product is not normalised, as in
        its code.

    Attributes:
        similarity: "dot" (as the LiteLVLM code) or "cosine".
    """

    name: ClassVar[str] = "high_similarity"
    summary: ClassVar[str] = "patches most similar to the text"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_embeds", "text_embeds"})
    text_guided: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin("arXiv 2605.13178", "Apache-2.0", "A")

    similarity: Similarity = "dot"

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Mean similarity over the texts."""
        return text_similarity(cues, self.similarity).mean(dim=0)


@dataclass(frozen=True, kw_only=True)
class LowSimilarity(HighSimilarity):
    """Keeps the patches least similar to the text: ``s_i = -mean_t <t_t, Z_i>``.

    With one text this is the set that the released LiteLVLM keeps; with several, LiteLVLM unites
    per-text choices while this method ranks by the mean. Cost: one T x N product.

    Source: ablation in LiteLVLM's paper (arXiv 2605.13178); the product is not normalised, as in
        its code.
    """

    name: ClassVar[str] = "low_similarity"
    summary: ClassVar[str] = "patches least similar to the text"

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Mean similarity over the texts, negated."""
        return -HighSimilarity.score(self, cues)
