"""Boxes on the token grid of one image."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def box_cells(
    inside: Float[Tensor, "n"], grid: tuple[int, int], margin: int = 0
) -> Float[Tensor, "n"]:
    """Mark the cells of the smallest box around all cells above 0 with 1, the others with 0.

    Args:
        inside: Value of each cell, in raster order.
        grid: (rows, columns).
        margin: Cells that the box is widened by at every side.

    Example:
        >>> box_cells(torch.tensor([0.0, 0.0, 0.5, 0.0, 1.0, 0.0]), grid=(2, 3)).tolist()
        [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    """
    touched = inside.reshape(grid) > 0
    rows, columns = (_stretch(touched.any(dim=axis), margin) for axis in (1, 0))
    return (rows[:, None] & columns).float().flatten()


def _stretch(touched: Bool[Tensor, "m"], margin: int) -> Bool[Tensor, "m"]:
    """Everything from the first to the last touched place, ``margin`` more at both ends."""
    places = torch.arange(len(touched), device=touched.device)
    found = places[touched]
    if len(found) == 0:
        return touched
    return (places >= found.min() - margin) & (places <= found.max() + margin)
