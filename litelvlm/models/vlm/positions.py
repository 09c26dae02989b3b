"""Positions of the full prompt, on one axis or three, and of a prompt that closes its gaps."""

import inspect
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel


def full_positions(
    model: PreTrainedModel, given: Mapping[str, object], attention_mask: Int[Tensor, "b s"]
) -> Int[Tensor, "axes b s"]:
    """Positions that the model itself gives to the tokens of the full prompt.

    Args:
        model: The model.
        given: Arguments of the call with all visual tokens.
        attention_mask: 1 for a token, 0 for padding.

    Returns:
        One axis, or three (time, height, width) where the family has them and the call says which
        tokens are visual. Padding stands at 0.
    """
    rope = getattr(model.base_model, "get_rope_index", None)
    grids = [given.get(f"{modality}_grid_thw") for modality in ("image", "video")]
    if rope is not None and given.get("mm_token_type_ids") is not None and grids != [None, None]:
        known = {**given, "attention_mask": attention_mask}
        names = [name for name in inspect.signature(rope).parameters if name in known]
        found: Tensor = rope(**{name: known[name] for name in names})[0]
        return found
    counted = (attention_mask.long().cumsum(dim=-1) - 1).masked_fill(attention_mask == 0, 0)
    return counted[None] if rope is None else counted.expand(3, -1, -1)


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


def without_single_axis(
    positions: Int[Tensor, "axes b s"],
) -> Int[Tensor, "..."]:
    """Positions [b, s] on one axis, [axes, b, s] on several."""
    return positions[0] if len(positions) == 1 else positions
