"""EVTP-IV-like: k-centre sampling that also spreads over the image."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.base import Origin
from litelvlm.pruning.cues import Cues
from litelvlm.pruning.greedy import GreedyPruner, farthest_points
from litelvlm.pruning.options import NotNegative
from litelvlm.pruning.ranking import row_norms, unit_rows


@dataclass(frozen=True, kw_only=True)
class EvtpIvLike(GreedyPruner):
    """Farthest-point sampling on ``[X_i / |X_i| ; w (row / rows, col / cols)]``.

    The first token is the one nearest to the mean. Our reading of the paper's abstract, hence the
    name: no official code was found, so numbers are not the authors'. Euclidean distances. Raster
    order, contiguous positions. Cost: N^2 distances and R sequential steps of N.

    Source: idea of EVTP-IV (arXiv 2508.11886).

    Attributes:
        spatial_weight: w, 0 or above; 0.5, 1 and 2 are sensible.
    """

    name: ClassVar[str] = "evtp_iv_like"
    title: ClassVar[str] = "EVTP-IV-like"
    summary: ClassVar[str] = "k-centre sampling in feature and image space (our reading)"
    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens"})
    nested: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin("arXiv 2508.11886", "no code", "C")
    video_substitute: ClassVar[str] = "divprune"

    spatial_weight: NotNegative = 1.0

    def steps(self, cues: Cues, budget: int) -> Int[Tensor, "budget"]:
        """Sample farthest points in the joint space, from the one nearest to the mean on."""
        points = self.points(cues)
        # The matrix-product shortcut of cdist loses the digits that decide between near neighbours.
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        first = row_norms(points - points.mean(dim=0)).argmin()
        return farthest_points(distances, first, budget)

    def points(self, cues: Cues) -> Float[Tensor, "n d_plus_2"]:
        """Direction and place of every token."""
        directions = unit_rows(cues.float32("patch_tokens"))
        rows, columns = (torch.arange(size, device=directions.device) / size for size in cues.grid)
        return torch.cat(
            [directions, self.spatial_weight * torch.cartesian_prod(rows, columns)], dim=1
        )
