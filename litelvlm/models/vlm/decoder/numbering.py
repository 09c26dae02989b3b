"""Positions of the tokens that drops inside the language model leave."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from litelvlm.models.vlm.decoder.rows import ImageRow
from litelvlm.models.vlm.positions import closed_up


def numbered(
    positions: Int[Tensor, "axes b s"],
    mask: Bool[Tensor, "b s"],
    columns: Int[Tensor, "b w"],
    images: Sequence[tuple[int, ImageRow]],
) -> Int[Tensor, "axes b w"]:
    """Positions of the columns that are left, by the policy of each image's method.

    Args:
        positions: Of the prompt.
        mask: Where the prompt has tokens.
        columns: Columns that are left; -1 for added padding, which stands at 0.
        images: Row and state of each image.
    """
    found = []
    for row, left in enumerate(columns):
        own = sorted(
            (image for place, image in images if place == row), key=lambda i: int(i.columns[0])
        )
        moved, taken = positions[:, row], torch.arange(mask.shape[1], device=columns.device)
        if any(image.plan.pruner.positions == "contiguous" for image in own):
            moved = closed_up(moved, [(i.columns, i.columns[i.left]) for i in own])
        else:
            for image in own:
                taken[image.columns[image.left]] = image.position_columns()
        found.append(moved[:, taken[left.clamp(min=0)]].masked_fill(left < 0, 0))
    return torch.stack(found, dim=1)
