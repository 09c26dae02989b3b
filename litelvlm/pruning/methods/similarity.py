"""The two methods that keep the patches most and least similar to the text."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Origin, ScorePruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.scoring import Similarity, text_similarity


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
    title: ClassVar[str] = "highest similarity"
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
    title: ClassVar[str] = "lowest similarity"
    summary: ClassVar[str] = "patches least similar to the text"

    def score(self, cues: Cues) -> Float[Tensor, "n"]:
        """Mean similarity over the texts, negated."""
        return -HighSimilarity.score(self, cues)
