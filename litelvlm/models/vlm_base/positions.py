"""Positions of a prompt, on any number of axes, after visual tokens were dropped from it."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor


def closed_up(
    positions: Int[Tensor, "axes s"],
    blocks: Sequence[tuple[Int[Tensor, "_"], Int[Tensor, "_"]]],
) -> Int[Tensor, "axes s"]:
    """Positions of one row without the gaps that dropped tokens leave.

    In a block that lost tokens, rows, columns and times without any token left are closed up: on
    each axis the steps to them vanish, and other steps stay as wide as they were. What stands
    behind moves up by what the block lost on the axes that placed it, which are all or, in newer
    models, all but time. A block that lost nothing keeps its shape. On one axis this numbers the
    tokens 0, 1, 2 ...

    Args:
        positions: Of the full row.
        blocks: For each run of visual tokens, its columns, and those of them that stay; ascending.

    Returns:
        Positions of the full row; those of dropped tokens mean nothing.

    Example:
        >>> run, kept = torch.tensor([1, 2, 3]), torch.tensor([3])
        >>> closed_up(torch.arange(5)[None], [(run, kept)]).tolist()
        [[0, 1, 2, 1, 2]]
    """
    moved = positions.clone()
    for columns, kept in blocks:
        if len(kept) == len(columns):
            continue
        behind = int(columns[-1]) + 1
        start = moved[:, columns].amin(dim=1, keepdim=True)
        before = [_extent(axis[columns]) for axis in moved]
        for axis, first in zip(moved, start, strict=True):
            axis[kept] = first + _without_steps(axis[columns], axis[kept])
        after = [_extent(axis[kept]) for axis in moved]
        if behind < moved.shape[1]:
            offset = int(moved[:, behind].amin() - start.amin())
            moved[:, behind:] -= _lost(before, after, offset)
    return moved


def _extent(values: Int[Tensor, "n"]) -> int:
    """Positions from the first to the last one."""
    return int(values.max() - values.min()) + 1 if len(values) else 0


def _without_steps(every: Int[Tensor, "n"], kept: Int[Tensor, "k"]) -> Int[Tensor, "k"]:
    """Positions that are left, from 0, without the steps to positions that are not."""
    values = torch.unique(every)
    steps = values.diff(prepend=values[:1]) * torch.isin(values, kept)
    ends = steps.cumsum(0)
    found: Tensor = ends[torch.searchsorted(values, kept)]
    return found - found.amin() if len(found) else found


def _lost(before: Sequence[int], after: Sequence[int], offset: int) -> int:
    """By how much what stands behind a block moves up, from the rule that placed it there.

    Args:
        before: Extent of the block on each axis.
        after: The same of what is left.
        offset: Of the next token from the block's first one.
    """
    for first in (0, 1):
        if before[first:] and offset == max(before[first:]):
            return offset - max(after[first:])
    return 0


def runs(columns: Int[Tensor, "n"]) -> list[Int[Tensor, "_"]]:
    """Split ascending columns where one is missing.

    Example:
        >>> [run.tolist() for run in runs(torch.tensor([2, 3, 7]))]
        [[2, 3], [7]]
    """
    edges = (columns.diff() != 1).nonzero().flatten() + 1
    return list(columns.tensor_split(edges.cpu()))
