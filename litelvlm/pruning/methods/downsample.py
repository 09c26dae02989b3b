"""The control that sees less from the start: the image made smaller before the tower reads it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import adaptive_avg_pool1d

from litelvlm.pruning.cues import Cues
from litelvlm.pruning.grid import evenly_spaced, sampling_grid, uniform_indices
from litelvlm.pruning.merging import MergingPruner
from litelvlm.pruning.selection import RawSelection


@dataclass(frozen=True, kw_only=True)
class ImageDownsampling(MergingPruner):
    """The image is made smaller until it has as many patches as the budget asks for.

    What a user without any method would do. Each output stands for the centre of the cell that it
    shows. A count without a balanced grid takes the next larger one and leaves out tokens at even
    distances. The tower's position embeddings are resized, at sizes it was not trained for.
    ``source`` tells which patches an output shows; the tower's blocks lie between. Cost: one pass
    of the tower over the smaller image.
    """

    name: ClassVar[str] = "image_downsampling"
    title: ClassVar[str] = "image downsampling"
    summary: ClassVar[str] = "the image made smaller before the image tower"
    stage: ClassVar[str] = "vit"
    video_substitute: ClassVar[str] = "prumerge_plus"

    def merge(self, cues: Cues, budget: int) -> RawSelection:
        """Run the tower on the smaller image."""
        shape = balanced_grid(budget, cues.grid)
        tower = cues.vit
        states = tower.embed_at(shape)
        bias = torch.zeros(len(states), dtype=states.dtype, device=states.device)
        for block in range(tower.n_blocks):
            states, _ = tower.attend(block, states, bias)
            states = tower.feed(block, states)
        count = shape[0] * shape[1]
        shown = evenly_spaced(count, budget).to(states.device)
        source = torch.kron(
            *(
                adaptive_avg_pool1d(torch.eye(whole), part).T.contiguous()
                for whole, part in zip(cues.grid, shape, strict=True)
            )
        )
        places = uniform_indices(count, cues.grid)
        return RawSelection(
            indices=torch.full_like(shown, -1),
            places=places.to(states.device)[shown],
            tokens=states[1:][shown],
            source=source.to(states.device)[shown],
            roles=("merged",) * budget,
        )


def balanced_grid(budget: int, grid: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the smallest balanced grid with at least ``budget`` patches.

    Example:
        >>> balanced_grid(48, (12, 12)), balanced_grid(47, (12, 12))
        ((6, 8), (6, 8))
    """
    found = (sampling_grid(count, grid) for count in range(budget, grid[0] * grid[1] + 1))
    return next(shape for shape in found if shape is not None)
