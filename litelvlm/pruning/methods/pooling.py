"""Pooling controls: the whole grid made coarser instead of tokens dropped."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, interpolate

from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import sampling_grid, uniform_indices
from litelvlm.pruning.merging import MergingPruner, mix
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class Pooling(MergingPruner):
    """Separable resampling of the token grid to the grid that ``uniform`` samples at that budget.

    Each output stands for the centre of its cell. A budget without a balanced grid is resampled
    along the raster.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"patch_tokens"})
    video_substitute: ClassVar[str] = "prumerge_plus"

    @abstractmethod
    def weights(self, n: int, k: int) -> Float[Tensor, "k n"]:
        """Resampling of one axis from n to k cells; rows sum to 1."""

    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """Resample rows and columns."""
        shape = sampling_grid(budget, cues.grid)
        if shape is None:
            source = self.weights(cues.n_tokens, budget)
        else:
            source = torch.kron(
                self.weights(cues.grid[0], shape[0]), self.weights(cues.grid[1], shape[1])
            )
        places = uniform_indices(budget, cues.grid)
        source, places = source.to(cues.patch_tokens.device), places.to(cues.patch_tokens.device)
        return RawSelection(
            indices=torch.full_like(places, -1),
            places=places,
            tokens=mix(source, cues.patch_tokens),
            source=source,
            roles=("merged",) * budget,
        )


@dataclass(frozen=True, kw_only=True)
class AvgPool(Pooling):
    """Adaptive average pooling of the patch tokens, before the projector.

    The strongest simple baseline for box grounding in Nuwa's study (arXiv 2602.02951). Cost: one R
    x N product.
    """

    name: ClassVar[str] = "avgpool"
    title: ClassVar[str] = "average pooling"
    summary: ClassVar[str] = "average pooling of the token grid"

    def weights(self, n: int, k: int) -> Float[Tensor, "k n"]:
        """Means over ``floor(i n / k)`` to ``ceil((i + 1) n / k)``."""
        return adaptive_avg_pool1d(torch.eye(n), k).T.contiguous()


@dataclass(frozen=True, kw_only=True)
class Bilinear(Pooling):
    """Bilinear resizing of the token grid, before the projector.

    Corners are not aligned and nothing is antialiased. Control for average pooling: it reads two
    tokens per axis and output, however far the grid is reduced. Cost: one R x N product.
    """

    name: ClassVar[str] = "bilinear"
    title: ClassVar[str] = "bilinear resizing"
    summary: ClassVar[str] = "bilinear resizing of the token grid"

    def weights(self, n: int, k: int) -> Float[Tensor, "k n"]:
        """Linear interpolation at the centres of k cells."""
        return interpolate(torch.eye(n)[None], size=k, mode="linear")[0].T.contiguous()
