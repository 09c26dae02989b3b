"""IVC-Prune: one drop that leaves coordinate tokens and tokens like the question in value space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.budgets import round_half_up
from litelvlm.pruning.layers.base import DropResult, LayerView, QueryToken
from litelvlm.pruning.layers.drops import MATCHED, SingleDrop
from litelvlm.pruning.options import Bounds, Share
from litelvlm.pruning.ranking import ascending, highest, stable_order
from litelvlm.pruning.scoring import coordinate_ranking, first_of_each


@dataclass(frozen=True, kw_only=True)
class IvcPrune(SingleDrop):
    """Drops visual tokens once, before layer K: keeps coordinates, and a foreground by value.

    With the values v of layer K - 1 over the whole sequence, ``B = mean_h softmax(v v^T /
    sqrt(e))``. Seeds are the visual tokens with the largest ``mean_{j in questions} B[j, i]``; the
    foreground has the largest mean over the rows of questions and seeds. Of R tokens, ``round(0.15
    R)`` have the largest mean rotary cosine, as many the largest mean sine, ``max(1, round(0.03
    R))`` are seeds, and the rest is foreground; duplicates are filled up with foreground. Positions
    stay. No attention row is read. Cost: values of one layer and two softmax rows per question
    token.

    The released code keeps about 28 % of the tokens whatever the budget, and also cuts the cache of
    the layers before K, which a single pass over the prompt does not have. There K is 16 of 32
    layers, so the average cannot fall below half of all tokens; preset "early" drops before layer
    1, preset "matched" before the deepest of 16, 8, 4, 2 and 1 that the budget allows. The shares
    follow the code (5 % + 5 % + 1 % + 20 % of all tokens); preset "paper" follows its 10 % to 40 %.

    Attributes:
        coordinate_share: Share of the kept tokens for each half of the coordinates, in [0, 0.5].
        seed_share: Share of the kept tokens that are seeds.
        budget_is: "average": over the layers, as for every method here. "retained": what is left
            after the drop; the average is then far above the budget, and ``LayerTrace.average``
            says how far.

    Source: IVC-Prune, official code; arXiv 2602.03060 (read in part). Shares of a budget are ours.
    """

    name: ClassVar[str] = "ivc_prune"
    title: ClassVar[str] = "IVC-Prune"
    summary: ClassVar[str] = (
        "one drop inside the language model that keeps coordinates, and values like the question's"
    )
    text_guided: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"values", "rotary"})
    origin: ClassVar[Origin] = Origin("arXiv 2602.03060", "none", "A")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {"coordinate_share": 0.1},
        "early": {"layer": 1},
        "matched": MATCHED,
    }
    look_back: ClassVar[int] = 1
    published: ClassVar[int] = 16

    query_token: QueryToken = "mean_text"  # noqa: S105 - a place in the text, no credential
    coordinate_share: Annotated[float, Bounds(0, 0.5)] = 0.15
    seed_share: Share = 0.03
    budget_is: Literal["average", "retained"] = "average"

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """What the layers from K on may process, or the budget itself."""
        if self.budget_is == "retained":
            return (budget,)
        return super().kept_counts(budget, n_tokens, n_layers)

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Coordinates, seeds, then foreground."""
        cos, sin = (part[scored.image].mean(dim=1) for part in scored.rotary())
        values = scored.values()
        coordinates = coordinate_ranking(cos, sin)[
            : 2 * round_half_up(self.coordinate_share * count)
        ]
        n_seeds = max(1, round_half_up(self.seed_share * count))
        seeds = highest(value_similarity(values, scored.queries)[scored.image], n_seeds)
        rows = torch.cat([scored.queries, seeds + scored.image.start])
        foreground = stable_order(value_similarity(values, rows)[scored.image], descending=True)
        chosen = first_of_each(torch.cat([coordinates, seeds, foreground]))[:count]
        return DropResult(ascending(chosen))


def value_similarity(
    values: Float[Tensor, "s heads e"], rows: Int[Tensor, "q"]
) -> Float[Tensor, "s"]:
    """Similarity of each token to some tokens in value space: ``softmax(v v^T / sqrt(e))``.

    Mean over heads and rows. Later tokens count too: no causal mask is applied.
    """
    logits = torch.einsum("qhe,she->hqs", values[rows], values) / values.shape[-1] ** 0.5
    similarity: Tensor = logits.softmax(dim=-1).mean(dim=(0, 1))
    return similarity
