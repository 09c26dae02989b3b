"""TRIM: text similarity with the sign of its released code, plus one mean token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from litelvlm.pruning.base import Origin
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.merging import MergingPruner, mean_of, mix, one_hot
from litelvlm.pruning.ranking import ascending, complement, highest
from litelvlm.pruning.scoring import text_similarity
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class Trim(MergingPruner):
    """Keeps R - 1 patches by ``sign * mean_t <t_t, Z_i>`` and appends the mean of all others.

    Released code: sign -1, the *least* similar patches (it keeps the top of ``softmax(-s)``).
    Paper: the most similar ones, sign +1. The code also has an outlier rule for the count, which no
    fixed budget can use. Raster order, mean token last, contiguous positions. Cost: T x N products
    and one mean.

    Source: TRIM, official code; arXiv 2409.10994. Several texts are averaged (the code has one).

    Attributes:
        sign: -1 as the code, +1 as the paper.
    """

    name: ClassVar[str] = "trim"
    title: ClassVar[str] = "TRIM"
    summary: ClassVar[str] = "patches by text similarity, and the mean of the others"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "patch_embeds", "text_embeds"})
    text_guided: ClassVar[bool] = True
    native_order: ClassVar[str] = "raster, mean last"
    origin: ClassVar[Origin] = Origin("arXiv 2409.10994", "Apache-2.0", "A")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {"paper": {"sign": 1}}

    sign: Literal[-1, 1] = -1

    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """Rank, keep, and average what is dropped."""
        n_tokens = cues.n_tokens
        kept = ascending(highest(self.sign * text_similarity(cues).mean(dim=0), budget - 1))
        source = torch.cat([one_hot(kept, n_tokens), mean_of(complement(kept, n_tokens), n_tokens)])
        return RawSelection(
            indices=torch.cat([kept, kept.new_tensor([-1])]),
            places=torch.cat([kept, kept.new_tensor([n_tokens - 1])]),
            tokens=mix(source, cues.patch_tokens),
            source=source,
            roles=("kept",) * (budget - 1) + ("merged",),
        )
