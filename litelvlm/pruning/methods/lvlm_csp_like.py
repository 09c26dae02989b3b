"""LVLM_CSP-like: few visual tokens in early layers, all in middle ones, few in late ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.layers.base import DropResult, LayerScorePruner, LayerView, QueryToken
from litelvlm.pruning.layers.drops import SeveralDrops
from litelvlm.pruning.positions import Positions


@dataclass(frozen=True, kw_only=True)
class LvlmCspLike(SeveralDrops, LayerScorePruner):
    """Our reading of LVLM_CSP: few tokens early, all in the middle, few late.

    C evenly spaced representatives before layer l1, all N tokens from l1 to l2, then the P most
    attended. Representatives are ``i floor(N / C)``, i from 0. Tokens that were left out come back
    at l1 with the embedding they would have entered with; then ``s_i = mean_h A_l2[h, query, i]``
    from the states that enter l2. Positions stay. For an average of T, ``C = 2 P`` and ``l1 C + (l2
    - l1) N + (L - l2) P = L T``, rounded down, the remainder to C. Cost: one attention row.

    The paper gives no depths or counts that could be checked, and no code was found. It also tries
    random representatives, those with the most CLS attention, and some per instance of a detector.

    Attributes:
        layers: l1 and l2; None takes 8 and 14 of 32 layers, or what ``depth`` says: 8 and 9 afford
            smaller budgets.

    Source: LVLM_CSP, arXiv 2504.10854 (summary only).
    """

    name: ClassVar[str] = "lvlm_csp_like"
    title: ClassVar[str] = "LVLM_CSP-like"
    summary: ClassVar[str] = (
        "few tokens in early and late layers of the language model, all in between (our reading)"
    )
    text_guided: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"attention"})
    origin: ClassVar[Origin] = Origin("arXiv 2504.10854", "no code", "C")
    returning: ClassVar[bool] = True
    published: ClassVar[tuple[int, ...]] = (8, 14)
    earlier: ClassVar[tuple[tuple[int, ...], ...]] = ((8, 9),)

    positions: Positions = "original"
    query_token: QueryToken = "seg"  # noqa: S105 - a place in the text, no credential

    def candidate_schedules(self, n_layers: int) -> Sequence[SeveralDrops]:
        """Those with two layers; in a shallow model the two may coincide."""
        candidates = super().candidate_schedules(n_layers)
        if self.depth == "published":
            return candidates
        return [method for method in candidates if len(method.layers or ()) == 2]

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Layer 0, where most tokens are left out, l1, where they come back, and l2."""
        layers = super().drop_layers(n_layers)
        if len(layers) != 2 or layers[0] == 0:
            raise ValueError(
                f"layers {list(layers)} must be two layers from 1 to {n_layers - 1}: "
                "all tokens from the first, few from the second"
            )
        return (0, *layers)

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Twice as many representatives as tokens kept at the end, if there are as many."""
        _, first, second = self.drop_layers(n_layers)
        left = n_layers * budget - (second - first) * n_tokens
        last = n_layers - second
        # Once the representatives are all tokens, the rest goes to the late layers.
        late = max(left // (2 * first + last), (left - first * n_tokens) // last)
        early = min((left - last * late) // first, n_tokens)
        return (early, n_tokens, late)

    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Attention in the layer that tokens are dropped before."""
        return entering.image_attention()

    def keep_by(self, scores: Float[Tensor, "r"], entering: LayerView, count: int) -> DropResult:
        """Evenly spaced tokens before layer 0, those with the highest score later."""
        if entering.index > 0:
            return super().keep_by(scores, entering, count)
        places: Tensor = torch.arange(count, device=scores.device) * (len(scores) // count)
        return DropResult(places)
