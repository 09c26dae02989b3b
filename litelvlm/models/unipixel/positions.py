"""Positions of UniPixel's prompt on three axes (time, row, column), with and without pruning."""

from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.layout import Layout
from litelvlm.models.vlm_base.positions import closed_up
from litelvlm.pruning import Selection
from litelvlm.pruning.positions import median_places

SECONDS_PER_GROUP = 1.0
"""Time between two groups of frames. The official reader tells it of every list of pictures."""


def prompt_positions(
    length: int, start: int, layout: Layout, per_second: float, behind: Literal["pinned", "library"]
) -> Int[Tensor, "3 {length}"]:
    """Positions of a prompt with all visual tokens.

    Args:
        length: Tokens of the prompt.
        start: Index of the first visual token.
        layout: Of the visual tokens.
        per_second: Positions that a second takes on the axis of time.
        behind: Where the text continues (``UniPixelOptions.text_positions``).
    """
    step = SECONDS_PER_GROUP * per_second
    times = (torch.arange(layout.frames) * step).long()
    grid = torch.meshgrid(
        times, torch.arange(layout.rows), torch.arange(layout.columns), indexing="ij"
    )
    visual = torch.stack([axis.flatten() for axis in grid])
    used = int(visual.max()) + 1 if behind == "pinned" else max(layout.grid)
    rest = length - start - layout.n_tokens
    text = torch.arange(start), start + used + torch.arange(rest)
    before, after = (part.expand(3, -1) for part in text)
    return torch.cat([before, start + visual, after], dim=1)


def selected_positions(
    positions: Int[Tensor, "3 s"], start: int, selection: Selection
) -> Int[Tensor, "3 r"]:
    """Positions of a prompt that holds the chosen visual tokens alone.

    A contiguous selection closes up rows, columns and times without any token left, and the text
    follows. Otherwise each token takes the position of the place that it stands for, and the text
    stays where it was, also if some group of frames keeps no token.

    Args:
        positions: Of the prompt with all visual tokens.
        start: Index of the first visual token.
        selection: The choice.
    """
    n_tokens, places = selection.n_tokens, selection.positions[0].cpu()
    end = start + n_tokens
    contiguous = selection.span == len(places) and torch.equal(places, torch.arange(len(places)))
    if contiguous:
        indices = selection.indices.cpu()
        made = None if selection.source is None else selection.source.cpu()
        places = indices if made is None else torch.where(
            indices < 0, median_places(made, indices.clamp(min=0)), indices
        )  # fmt: skip
        places = places.clamp(min=0)
        block = torch.arange(start, end)
        positions = closed_up(positions, [(block, start + torch.unique(places))])
    parts = positions[:, :start], positions[:, start + places], positions[:, end:]
    return torch.cat(parts, dim=1)
