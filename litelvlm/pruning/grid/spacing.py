"""Evenly spaced tokens, along the raster and on the grid of one image."""

from fractions import Fraction

import torch
from jaxtyping import Int
from torch import Tensor


def evenly_spaced(n: int, k: int) -> Int[Tensor, "k"]:
    """Centres of k equal cells on 0 .. n - 1: ``floor((2 i + 1) n / (2 k))``.

    All are different if k <= n.
    """
    return (2 * torch.arange(k) + 1) * n // (2 * k)


def spread(tokens: Int[Tensor, "m"], k: int) -> Int[Tensor, "k"]:
    """Choose k of the given tokens, evenly spaced in their order."""
    return tokens[evenly_spaced(len(tokens), k).to(tokens.device)]


def sampling_grid(budget: int, grid: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns whose product is the budget and whose cells are closest to square.

    24 x 24 tokens give 12 x 16, 8 x 16, 8 x 8 and 4 x 8 for 192, 128, 64 and 32; 12 x 12 tokens
    give 6 x 8, 4 x 8, 4 x 4 and 2 x 4 for 48, 32, 16 and 8. Of two equally good grids the one with
    fewer rows is taken.

    Returns:
        (rows, columns), or None if every cell would be more than twice as long as wide.
    """
    fits = [
        (r, budget // r)
        for r in range(1, grid[0] + 1)
        if budget % r == 0 and budget // r <= grid[1]
    ]
    aspect = {(r, c): Fraction(grid[0] * c, r * grid[1]) for r, c in fits}
    stretch = {shape: max(a, 1 / a) for shape, a in aspect.items()}
    best = min(stretch, key=lambda shape: (stretch[shape], shape), default=None)
    return best if best is not None and stretch[best] <= 2 else None


def uniform_indices(budget: int, grid: tuple[int, int]) -> Int[Tensor, "budget"]:
    """Raster indices of cell centres; evenly spaced along the raster where no grid fits."""
    shape = sampling_grid(budget, grid)
    if shape is None:
        return evenly_spaced(grid[0] * grid[1], budget)
    rows, columns = evenly_spaced(grid[0], shape[0]), evenly_spaced(grid[1], shape[1])
    return (rows[:, None] * grid[1] + columns).flatten()
