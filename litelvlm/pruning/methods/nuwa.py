"""Nuwa: tokens of every small cell that gather their surroundings, then a drop by attention."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin, Pruner
from litelvlm.pruning.budgets import check_budget, round_half_up
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.layers.base import DropResult, LayerView
from litelvlm.pruning.layers.drops import SingleDrop
from litelvlm.pruning.merging import MergingPruner, mix, one_hot
from litelvlm.pruning.options import Share
from litelvlm.pruning.ranking import (
    ascending,
    cosine_matrix,
    highest,
    rank_within,
    row_norms,
    unit_rows,
)
from litelvlm.pruning.selection import RawSelection, Selection

CELL_SIDE = 2  # tokens per side of a cell
REACH = 280**0.5 / 24  # distance at which gathering ends, in sides of the released 24 x 24 grid
# Tokens of the first stage per token of the budget: 112, 224 and 336 for 64, 128 and 192.
FIRST_STAGE = 7 / 4


@dataclass(frozen=True, kw_only=True)
class Nuwa(SingleDrop, MergingPruner):
    """Anchors of 2 x 2 cells gather what is around them; a drop in the language model follows.

    First stage, before the projector, by CLS attention a: every cell names its n most attended
    tokens, n the smallest number that names R1; the R1 most attended of those are anchors. An
    anchor whose a reaches the 0.55 quantile of the anchors stays as it is. Another becomes ``x_i +
    sum_{j != i} w_ij x_j`` over all tokens, ``w_ij`` being ``relu(cos(h_i, h_j)) max(0, 1 - dist_ij
    / reach)`` divided by its sum over j, i included, and h the mean state of the last third of the
    layers; so rows sum to more than 1. Second stage, before layer K (16 of 32) of the language
    model: the anchors with the highest ``mean_h A[h, query, i]`` of layer K - 1 stay. For an
    average of T the first stage leaves ``R1 = round(7 T / 4)`` and the second what the average
    leaves, T / 4 at half depth: 336 and 48, 224 and 32, 112 and 16 as released, 56 and 8 for 32.
    Raster order, original positions. Cost: one attention row in each model and N^2 cosines.

    Source: Nuwa, official code; arXiv 2602.02951. The paper names anchors by a times the norm of
    the keys, leaves the top quartile of that norm as it is, and drops by the cosine to the mean
    text embedding.

    Attributes:
        stage1_only: Leave out the second stage: R1 = T tokens enter and stay, whatever the text.
        combine: "sum" as the code, or "mean": the row of a gathering anchor divided by its sum.
        untouched: Quantile of the anchors' attention from which they stay as they are, 0 to 1.
        salience: What names the anchors: "attention" as the code, or "attention_key_norm", a times
            the norm of the same block's keys, as the paper. Which anchors stay as they are goes by
            the attention either way.
        drop_by: What ranks the anchors in the second stage: "attention" as the code, or
            "text_cosine", their cosine to the mean of the query tokens, both as they enter layer K.
            With ``query_token="mean_text"`` that is the mean of the text, as in the paper, whose
            equation takes the projected tokens and the embeddings of the text.
    """

    name: ClassVar[str] = "nuwa"
    title: ClassVar[str] = "Nuwa"
    summary: ClassVar[str] = (
        "most attended patches of every cell, gathering their surroundings, then a drop by text"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "cls_attention", "late_states"})
    stage: ClassVar[str] = "pre_projector, llm"
    text_guided: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"attention"})
    origin: ClassVar[Origin] = Origin("arXiv 2602.02951", "Apache-2.0", "A")
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "fixed": {"combine": "mean", "order": "raster"},
        "stage1": {"stage1_only": True},
    }
    video_substitute: ClassVar[str] = "visionzip"
    look_back: ClassVar[int] = 1
    published: ClassVar[int] = 16

    stage1_only: bool = False
    combine: Literal["sum", "mean"] = "sum"
    untouched: Share = 0.55
    salience: Literal["attention", "attention_key_norm"] = "attention"
    drop_by: Literal["attention", "text_cosine"] = "attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.salience == "attention_key_norm":
            object.__setattr__(self, "needs", type(self).needs | {"key_norm"})
        if self.drop_by == "text_cosine":
            object.__setattr__(self, "reads", frozenset({"hidden_states"}))
        if self.stage1_only:
            object.__setattr__(self, "stage", "pre_projector")
            object.__setattr__(self, "text_guided", False)

    def schedule(self, budget: int | float, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Visual tokens that each layer processes.

        Raises:
            ValueError: As for every method inside the language model.
        """
        if self.stage1_only:
            return (check_budget(budget, n_tokens),) * n_layers
        return super().schedule(budget, n_tokens, n_layers)

    def matched(self) -> "Nuwa":
        """The method itself: the first stage makes room at every depth."""
        return self

    def drop_layers(self, n_layers: int) -> tuple[int, ...]:
        """Layer 0, which the first stage comes before, and layer K."""
        return (0, *super().drop_layers(n_layers))

    def kept_counts(self, budget: int, n_tokens: int, n_layers: int) -> tuple[int, ...]:
        """Tokens of the first stage, and what the layers from K on may process."""
        first, (_, layer) = anchor_count(budget, n_tokens), self.drop_layers(n_layers)
        return (first, round_half_up((n_layers * budget - first * layer) / (n_layers - layer)))

    def to_selection(self, raw: RawSelection, n_tokens: int, budget: int) -> Selection:
        """The anchors, in a ``LayerPlan`` unless the first stage is all."""
        if self.stage1_only:
            return Pruner.to_selection(self, raw, n_tokens, budget)
        return super().to_selection(raw, n_tokens, budget)

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """First stage."""
        return MergingPruner.choose(
            self, cues, budget if self.stage1_only else anchor_count(budget, cues.n_tokens)
        )

    def reduce(self, scored: LayerView, entering: LayerView, count: int) -> DropResult:
        """Second stage: the tokens most attended in the layer before, or most like the text."""
        if self.drop_by == "attention":
            return DropResult(scored.most_attended(count))
        states = entering.hidden_states.float()
        text = states[entering.queries].mean(dim=0, keepdim=True)
        likeness = unit_rows(states[entering.image]) @ unit_rows(text)[0]
        return DropResult(ascending(highest(likeness, count)))

    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """Anchors, and what the less attended of them gather."""
        attention = cues.float32("cls_attention")
        normed = self.salience == "attention_key_norm"
        salience = attention * cues.float32("key_norm") if normed else attention
        anchors = cell_anchors(salience, cues.grid, budget)
        source = one_hot(anchors, cues.n_tokens)
        gathers = attention[anchors] < attention[anchors].quantile(self.untouched)
        weights = self.gathered(cues, anchors)
        source = torch.where(gathers[:, None], weights, source)
        return RawSelection(
            indices=anchors,
            tokens=mix(source, cues.patch_tokens),
            source=source,
            roles=tuple("merged" if flag else "kept" for flag in gathers.tolist()),
        )

    def gathered(self, cues: Cues, anchors: Int[Tensor, "r"]) -> Float[Tensor, "r n"]:
        """Merge weights of the anchors as if all of them gathered."""
        near = 1 - cell_distances(cues.grid).to(anchors.device)[anchors] / (REACH * max(cues.grid))
        weights = cosine_matrix(cues.float32("late_states"))[anchors].relu() * near.clamp(min=0)
        # An all-zero state is like nothing, itself included.
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)
        weights = weights.scatter(1, anchors[:, None], 1.0)
        return weights / weights.sum(dim=1, keepdim=True) if self.combine == "mean" else weights


def anchor_count(budget: int, n_tokens: int) -> int:
    """Tokens that the first stage leaves for the second, never more than there are."""
    return min(round_half_up(FIRST_STAGE * budget), n_tokens)


def cell_anchors(
    salience: Float[Tensor, "n"], grid: tuple[int, int], budget: int
) -> Int[Tensor, "budget"]:
    """Anchors: the best tokens of every cell, as many per cell as needed, and of those the best.

    In raster order. Cells at the right and lower edge of an odd grid are smaller.
    """
    rows, columns = (torch.arange(size, device=salience.device) // CELL_SIDE for size in grid)
    cell = (rows[:, None] * grid[1] + columns).flatten()
    rank = rank_within(cell, salience)
    named = next(n for n in range(1, CELL_SIDE**2 + 1) if int((rank < n).sum()) >= budget)
    return ascending(highest(salience.masked_fill(rank >= named, float("-inf")), budget))


def cell_distances(grid: tuple[int, int]) -> Float[Tensor, "n n"]:
    """Euclidean distance between tokens, in tokens."""
    places = torch.cartesian_prod(*(torch.arange(float(size)) for size in grid))
    return row_norms(places[:, None] - places)
