"""SparseVLM: three drops by the attention of text raters, the best dropped tokens recycled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.layers.base import DropResult, LayerView
from litelvlm.pruning.layers.rated_drops import RatedDrops
from litelvlm.pruning.ranking import ascending, highest, stable_order


def candidate_count(n_dropped: int) -> int:
    """Dropped tokens that are recycled: 30 %, rounded down, and one more."""
    return n_dropped * 3 // 10 + 1 if n_dropped else 0


def recycled_count(n_dropped: int) -> int:
    """Tokens they are averaged to: a tenth, rounded down, and one more.

    Example:
        >>> recycled_count(576 - 300), recycled_count(0)
        (9, 0)
    """
    return candidate_count(n_dropped) // 10 + 1 if n_dropped else 0


def density_peaks(
    points: Float[Tensor, "m d"], k: int
) -> tuple[Float[Tensor, "k m"], Int[Tensor, "k"]]:
    """Cluster points around k density peaks.

    The density of a point is ``exp(-mean of squared distances to its k nearest points, itself
    included)``, distances divided by sqrt(d). Peaks are the k points with the largest density times
    distance to the nearest denser point; every other point joins the nearest peak. Of equally dense
    points the earlier one counts as denser, where the released code adds random noise. Cost: O(m^2
    d).

    Args:
        points: States.
        k: Clusters, at most m.

    Returns:
        Weights that average each cluster, rows summing to 1, and the index of each peak; highest
        peak first.

    Source: SparseVLM, official code, after density peaks clustering with nearest neighbours.
    """
    points = points.float()
    # The fast form subtracts squared norms, and equal points would lie a little apart.
    distances = (
        torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        / points.shape[1] ** 0.5
    )
    density = torch.exp(-(distances.sort(dim=1).values[:, :k] ** 2).mean(dim=1))
    index = torch.arange(len(points), device=points.device)
    earlier = (density == density[:, None]) & (index < index[:, None])
    denser = (density > density[:, None]) | earlier
    to_denser = torch.where(denser, distances, distances.max()).amin(dim=1)
    peaks = highest(density * to_denser, k)
    cluster = distances[:, peaks].argmin(dim=1)
    cluster[peaks] = index[:k]
    members = torch.nn.functional.one_hot(cluster, k).float().T
    return members / members.sum(dim=1, keepdim=True), peaks


@dataclass(frozen=True, kw_only=True)
class SparseVLM(RatedDrops):
    """Drops visual tokens before layers 3, 7 and 16 by the attention of text raters.

    ``s_i = mean_h mean_{j in raters} A[h, j, i]``. The attention is that of the layer before the
    drop. Raters are chosen once, from the embeddings that enter the model. Of the n tokens that a
    drop removes, the best ``floor(0.3 n) + 1`` are clustered and averaged to a tenth of their
    number and follow the kept ones, as visual tokens like any other; they count in the budget.
    Positions are renumbered. Under ``positions="original"`` a recycled token has the position of
    its cluster's centre. Cost: one attention row per rater and drop, and the distances among what
    is recycled.

    The released code breaks ties of the clustering by random noise; here the earlier token wins. It
    runs one conversation at a time.

    Source: SparseVLM, official code (version 1.5); arXiv 2410.04417. The paper derives the count of
    each drop from the rank of the attention, the code tabulates counts (preset "released"); the
    paper adds up the tokens of a cluster, which join it by cosine. Schedules for a budget are ours.

    Attributes:
        recycled: What a cluster becomes: the "mean" of its tokens as the code, or their "sum" as
            the paper.
    """

    name: ClassVar[str] = "sparsevlm"
    title: ClassVar[str] = "SparseVLM"
    summary: ClassVar[str] = (
        "drops at three depths by the attention of text raters, the best dropped tokens recycled"
    )
    native_order: ClassVar[str] = "raster, recycled tokens last"
    synthetic: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"attention", "hidden_states"})
    origin: ClassVar[Origin] = Origin("arXiv 2410.04417", "Apache-2.0", "A")
    released: ClassVar[Mapping[int, tuple[int, ...]]] = {
        192: (300, 200, 110),
        128: (303, 110, 36),
        96: (238, 48, 26),
        64: (66, 30, 17),
    }

    recycled: Literal["mean", "sum"] = "mean"

    def after_drop(self, n_kept: int, n_tokens: int) -> int:
        """Kept and recycled tokens."""
        return n_kept + recycled_count(n_tokens - n_kept)

    def score(self, scored: LayerView, entering: LayerView) -> Float[Tensor, "r"]:
        """Attention of the raters in the layer before."""
        return scored.image_attention()

    def keep_by(self, scores: Float[Tensor, "r"], entering: LayerView, count: int) -> DropResult:
        """Keep as many tokens as leave room for what the others are recycled to."""
        ranking, n_tokens = stable_order(scores, descending=True), len(scores)
        n_kept = max(
            kept for kept in range(1, count + 1) if self.after_drop(kept, n_tokens) <= count
        )
        best = ranking[n_kept : n_kept + candidate_count(n_tokens - n_kept)]
        states = entering.hidden_states[entering.image]
        averages, peaks = density_peaks(states[best], count - n_kept)
        weights = torch.zeros(len(peaks), n_tokens, device=states.device)
        # An average holds one over the size of its cluster, a sum holds 1.
        weights[:, best] = averages if self.recycled == "mean" else averages.ceil()
        return DropResult(ascending(ranking[:n_kept]), weights, best[peaks])
