"""LiteLVLM: tokens least similar to the text, filled up with context tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin, Pruner
from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.options import ShareBelowOne
from litelvlm.pruning.ranking import Precision, ascending, stable_order
from litelvlm.pruning.scoring import Context, Similarity, context_scores, text_similarity
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class LiteLVLM(Pruner):
    """The reversed CLIP ranking: per text the lowest ``s_i = <t, Z_i>``, then context tokens.

    One text leaves the released code no room for context; the paper's own rule then gives context
    half of the budget. Native order is that of step 6, at contiguous positions. Cost: T x N
    products, one sort per text, N x D for the context; no attention of the language model.

    Recovery of context tokens, with R tokens to keep, T texts t and patches i:

        1. s_ti = <t, Z_i>
        2. N_t = the floor(R / T) patches with the lowest s_ti
        3. U = union of all N_t
        4. a_i = |softmax_i(cos(q, K_i) / sqrt(D)) V_i|
        5. C = the R - |U| patches outside U with the highest a_i
        6. keep C by falling a_i, then U in raster order

    The paper's own rule differs in three steps:

        2. N_t = the R patches with the lowest s_ti; floor(R / 2) if T = 1
        3. U = intersection of all N_t
        4. a_i = |softmax_i(<q, K_i> / sqrt(D)) V_i|

    Z are projected patch states of CLIP, q, K and V the CLS query, keys and values of its last
    block with heads joined, D their width.

    Source: LiteLVLM, official code; arXiv 2605.13178. The code ranks bfloat16 scores in unspecified
    order of ties; here ties always go to the lower index.

    Attributes:
        budget_rule: "code" (union) or "paper" (intersection).
        direction: "lowest" is the reversal, "highest" its opposite.
        similarity: "dot" as the code, or "cosine". Normalising texts alone ranks as "dot", patches
            alone as "cosine".
        context: Score that fills the rest, see ``context_scores``.
        context_share: Share of the budget given to context before the texts choose; None leaves it
            to the rule.
        overlap: What happens when texts name the same patch: "shrink" leaves the place to context
            as the code does, "refill" takes the texts' next ones in turn. Read by the "code" rule
            only.
        precision: Number type that scores are computed and ranked in: "float32", or "bfloat16" as
            the official evaluation, where many scores are equal.
    """

    name: ClassVar[str] = "litelvlm"
    title: ClassVar[str] = "LiteLVLM"
    summary: ClassVar[str] = "patches least similar to the text, filled with context patches"
    needs: ClassVar[frozenset[str]] = frozenset(
        {"patch_embeds", "text_embeds", "query", "keys", "values", "cls_attention"}
    )
    text_guided: ClassVar[bool] = True
    native_order: ClassVar[str] = "context by score, similarity in raster"
    origin: ClassVar[Origin] = Origin("arXiv 2605.13178", "Apache-2.0", "A")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {"budget_rule": "paper", "context": "paper"},
        "fixed": {"order": "raster"},
    }

    budget_rule: Literal["code", "paper"] = "code"
    direction: Literal["lowest", "highest"] = "lowest"
    similarity: Similarity = "dot"
    context: Context = "code"
    context_share: ShareBelowOne | None = None
    overlap: Literal["shrink", "refill"] = "shrink"
    precision: Precision = "float32"

    @property
    def about(self) -> str:
        """The summary, with the direction that its field names."""
        most = self.direction == "highest"
        return self.summary.replace("least", "most") if most else self.summary

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Similarity tokens, then context tokens for the places left."""
        scores = text_similarity(cues, self.similarity, self.precision)
        similar = self.similarity_tokens(scores, budget)
        n_context = budget - len(similar)
        if n_context == 0:
            return RawSelection(similar, roles=("similarity",) * budget)
        order = stable_order(context_scores(cues, self.context, self.precision), descending=True)
        context = order[~torch.isin(order, similar)][:n_context]
        roles = ("context",) * n_context + ("similarity",) * len(similar)
        return RawSelection(torch.cat([context, similar]), roles=roles)

    def similarity_tokens(self, scores: Float[Tensor, "t n"], budget: int) -> Int[Tensor, "u"]:
        """Patches the texts name, in raster order; at most ``budget``."""
        n_texts = len(scores)
        order = stable_order(scores, descending=self.direction == "highest")
        rank = torch.empty_like(order)
        rank.scatter_(1, order, torch.arange(scores.shape[1], device=order.device).expand_as(order))
        share = (
            budget
            if self.context_share is None
            else budget - round_half_up(self.context_share * budget)
        )
        if self.budget_rule == "paper":
            if n_texts == 1 and self.context_share is None:
                share = budget // 2
            return (rank < share).all(dim=0).nonzero().flatten()
        if self.overlap == "shrink":
            return (rank < share // n_texts).any(dim=0).nonzero().flatten()
        # The texts name one patch each, round after round. Two patches are never named first at
        # the same step.
        step = (rank * n_texts + torch.arange(n_texts, device=rank.device)[:, None]).amin(dim=0)
        return ascending(stable_order(step, descending=False)[:share])
