"""ALTP-like: superpixels share the budget by how much their tokens differ."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin, Pruner
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import redistribute, split_budget, uniform_indices
from litelvlm.pruning.options import NotNegative
from litelvlm.pruning.ranking import rank_within
from litelvlm.pruning.selection import RawSelection

ROUNDS = 10  # of the superpixels' k-means, which settles after a few


def superpixels(
    colours: Float[Tensor, "n c"], grid: tuple[int, int], count: int, compactness: float
) -> Int[Tensor, "n"]:
    """Simple linear iterative clustering of the token grid: k-means in colour and place.

    The squared distance to a centre is that of the colours in percent plus that of the places in
    units of the grid over ``sqrt(n / count)``, times ``compactness`` squared. Equally near centres:
    the first. A centre may lose all its cells, so there may be fewer than ``count`` parts; they are
    not forced to be connected.

    Args:
        colours: Mean colour of each cell, 0 to 1.
        grid: (rows, columns).
        count: Centres to start from, on a regular grid.
        compactness: 0 clusters colours alone; 10 is usual.

    Source: SLIC (Achanta et al., TPAMI 2012), here on cells in place of pixels and in RGB in place
        of CIELAB.
    """
    places = torch.cartesian_prod(
        *(torch.arange(float(size), device=colours.device) for size in grid)
    )
    step = (len(colours) / count) ** 0.5
    points = torch.cat([100 * colours, places * compactness / step], dim=1)
    centres = points[uniform_indices(count, grid).to(points.device)]
    label = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for _ in range(ROUNDS):
        label = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(
            dim=1
        )
        sizes = torch.bincount(label, minlength=count)[:, None]
        sums = torch.zeros_like(centres).index_add(0, label, points)
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return label


@dataclass(frozen=True, kw_only=True)
class AltpLike(Pruner):
    """R / 4 superpixels; each keeps its most attended tokens, more where its tokens vary.

    The ``R - M`` tokens left after one for each of M superpixels are shared in proportion to
    ``sum_{i in s} |x_i - mean_s|^2`` (size times variance), no superpixel getting more than it has;
    inside a superpixel tokens are taken by CLS attention. Our reading of the paper's abstract,
    hence the name: no official code was found, and numbers are not the authors'. Raster order,
    contiguous positions. Cost: ten rounds of N x R / 4 distances.

    Source: idea of ALTP (arXiv 2503.23959), which makes superpixels of pixels; here they are made
        of token cells.

    Attributes:
        compactness: Weight of place against colour, 0 or above.
    """

    name: ClassVar[str] = "altp_like"
    title: ClassVar[str] = "ALTP-like"
    summary: ClassVar[str] = (
        "CLS-attended patches of superpixels, more where patches vary (our reading)"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens", "cls_attention", "colours"})
    origin: ClassVar[Origin] = Origin("arXiv 2503.23959", "no code", "C")
    video_substitute: ClassVar[str] = "vispruner"

    compactness: NotNegative = 10.0

    def choose(self, cues: Cues, budget: int) -> RawSelection:
        """Share the budget among superpixels, then take each one's most attended tokens."""
        label = superpixels(
            cues.float32("colours"), cues.grid, max(1, budget // 4), self.compactness
        )
        part = torch.unique(label, return_inverse=True)[1]
        rank = rank_within(part, cues.float32("cls_attention"))
        sizes = torch.bincount(part)
        weights = variance_shares(cues.float32("patch_tokens"), part, sizes).cpu()
        counts = torch.ones_like(sizes).cpu()
        counts += split_budget(weights, budget - len(counts))
        counts = redistribute(counts, sizes.cpu(), weights).to(part.device)
        return RawSelection((rank < counts[part]).nonzero().flatten())


def variance_shares(
    rows: Float[Tensor, "n d"], part: Int[Tensor, "n"], sizes: Int[Tensor, "p"]
) -> Float[Tensor, "p"]:
    """Share of each part in the squared distances to the part means; equal shares if all are 0."""
    means = (
        torch.zeros(len(sizes), rows.shape[1], device=rows.device).index_add(0, part, rows)
        / sizes[:, None]
    )
    squares = ((rows - means[part]) ** 2).sum(dim=1)
    sums = torch.zeros(len(sizes), device=rows.device).index_add(0, part, squares)
    total = sums.sum()
    if total == 0:  # no smallest divisor: shares of tiny distances must add up to 1 too
        return torch.full_like(sums, 1 / len(sizes))
    return sums / total
