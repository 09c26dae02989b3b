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

    In a block that lost tokens, rows, columns and frames without any token left are closed up: on
    each axis a token's position is its rank among the positions left. Everything behind moves up.
    A block that lost nothing keeps its shape. On one axis this numbers the tokens 0, 1, 2 ...

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
        used = 0
        if len(kept):
            for axis in moved:
                axis[kept] = torch.unique(axis[kept], return_inverse=True)[1]
            used = int(moved[:, kept].max()) + 1
            moved[:, kept] += start
        if behind < moved.shape[1]:
            gap = moved[:, behind].amin() - (start.amin() + used)
            moved[:, behind:] -= gap
    return moved


def runs(columns: Int[Tensor, "n"]) -> list[Int[Tensor, "_"]]:
    """Split ascending columns where one is missing.

    Example:
        >>> [run.tolist() for run in runs(torch.tensor([2, 3, 7]))]
        [[2, 3], [7]]
    """
    edges = (columns.diff() != 1).nonzero().flatten() + 1
    return list(columns.tensor_split(edges.cpu()))
