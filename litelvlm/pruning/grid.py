"""The token grid of an image or a clip: evenly spaced cells, boxes, parts that share a budget."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from litelvlm.layout import Layout
from litelvlm.pruning.ranking import stable_order


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


EPS = 1e-6


def split_budget(weights: Float[Tensor, "p"], budget: int) -> Int[Tensor, "p"]:
    """Split the budget by weight into whole numbers; left-over tokens go to the heaviest parts."""
    counts = (weights * budget).floor().long()
    counts[stable_order(weights, descending=True)[: budget - int(counts.sum())]] += 1
    return counts


def redistribute(
    counts: Int[Tensor, "p"], sizes: Int[Tensor, "p"], weights: Float[Tensor, "p"]
) -> Int[Tensor, "p"]:
    """Cap every part at its size and give the surplus, by weight, to parts that have room."""
    budget = int(counts.sum())
    counts = torch.minimum(counts, sizes)
    while surplus := budget - int(counts.sum()):
        open_weights = torch.where(counts < sizes, weights + EPS, 0.0)
        wanted = split_budget(open_weights / open_weights.sum(), surplus)
        counts = torch.minimum(counts + torch.where(counts < sizes, wanted, 0), sizes)
    return counts


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


def equal_parts(budget: int, frames: int) -> list[int]:
    """Tokens that each frame keeps if all keep the same; what is left goes to evenly spread ones.

    Example:
        >>> equal_parts(8, 3), equal_parts(1, 3)
        ([3, 2, 3], [0, 1, 0])
    """
    part, rest = divmod(budget, frames)
    more = set(evenly_spaced(frames, rest).tolist()) if rest else set()
    return [part + (frame in more) for frame in range(frames)]


def whole_frames(budget: int, order: Iterable[int], layout: Layout) -> list[int]:
    """Tokens that each frame keeps if whole frames are kept; the last one taken may keep a part.

    Args:
        budget: Tokens to keep.
        order: Every frame, in the order in which they are taken.
        layout: Of the tokens.

    Example:
        >>> whole_frames(6, [2, 0, 1], Layout(3, 2, 2))
        [2, 0, 4]
    """
    counts = [0] * layout.frames
    for frame in order:
        counts[frame] = min(layout.per_frame, budget - sum(counts))
    return counts


def frame_grids(counts: Sequence[int], layout: Layout) -> Int[Tensor, "budget"]:
    """Raster indices of cell centres in each frame (``uniform_indices``).

    Args:
        counts: Tokens of each frame; a frame may have none.
        layout: Of the tokens.
    """
    parts = [
        frame * layout.per_frame + uniform_indices(count, layout.grid)
        for frame, count in enumerate(counts)
        if count
    ]
    return torch.cat(parts)
