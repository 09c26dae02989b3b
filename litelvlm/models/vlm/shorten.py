"""Cut a batch of prompts to the placeholders that stay, with masks, types and positions."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from transformers import PreTrainedModel

from litelvlm.models.vlm.selecting import ItemSlots
from litelvlm.models.vlm_base.positions import closed_up, runs
from litelvlm.pruning.positions import Positions


def full_positions(
    model: PreTrainedModel, given: Mapping[str, object], attention_mask: Shaped[Tensor, "b s"]
) -> Int[Tensor, "axes b s"]:
    """Positions that the model itself gives to the tokens of the full prompt.

    Args:
        model: The model.
        given: Arguments of the call with all visual tokens.
        attention_mask: 1 for a token, 0 for padding.

    Returns:
        One axis, or three (time, height, width) where the family has them. Padding stands at 0.

    Raises:
        ValueError: If the call does not say which tokens are visual, and the family needs it.
    """
    rope = getattr(model.base_model, "get_rope_index", None)
    grids = [given.get(f"{modality}_grid_thw") for modality in ("image", "video")]
    if rope is not None and grids != [None, None]:
        if given.get("mm_token_type_ids") is None:
            raise ValueError(
                f"{type(model).__name__} gives visual tokens their rows and columns by "
                "mm_token_type_ids, and without them other positions; hand on everything that the "
                "processor returns"
            )
        known = {**given, "attention_mask": attention_mask}
        names = [name for name in inspect.signature(rope).parameters if name in known]
        found: Tensor = rope(**{name: known[name] for name in names})[0]
        return found
    counted = (attention_mask.long().cumsum(dim=-1) - 1).masked_fill(attention_mask == 0, 0)
    return counted[None] if rope is None else counted.expand(3, -1, -1)


def without_single_axis(
    positions: Int[Tensor, "axes b s"],
) -> Int[Tensor, "..."]:
    """Positions [b, s] on one axis, [axes, b, s] on several."""
    return positions[0] if len(positions) == 1 else positions


PER_TOKEN = ("mm_token_type_ids", "token_type_ids", "labels")
"""Arguments with one number per token, next to ids and mask."""
NO_LABEL = -100


@dataclass(frozen=True, eq=False)
class ShortPrompt:
    """A batch of shortened prompts.

    Attributes:
        arguments: ``input_ids``, ``attention_mask`` and what else has one number per token [b, s].
        position_ids: Position of every token [axes, b, s].
        columns: For each row, the columns of the full prompt that are left.
    """

    arguments: Mapping[str, Tensor]
    position_ids: Int[Tensor, "axes b s"]
    columns: tuple[Int[Tensor, "_"], ...]


def shorten(
    given: Mapping[str, object],
    slots: Sequence[ItemSlots],
    positions: Int[Tensor, "axes b s"],
    policy: Positions,
    pad: int,
) -> ShortPrompt:
    """Cut every row to the slots of its images and to its text.

    Rows that get different lengths are padded on the side where the batch is padded already, on the
    left without any padding.

    Args:
        given: Arguments of the call: ``input_ids`` and ``attention_mask`` [b, s], and others.
        slots: What is left of each image.
        positions: Of the full prompt.
        policy: Which positions the tokens get.
        pad: Token id of padding.
    """
    ids, mask = given["input_ids"], given["attention_mask"]
    if not isinstance(ids, Tensor) or not isinstance(mask, Tensor):
        raise ValueError("input_ids and attention_mask must be tensors [batch, length]")
    columns, position_columns, numbered = [], [], []
    for row in range(len(ids)):
        own = [entry for entry in slots if entry.item.row == row]
        kept, taken = row_columns(ids.shape[1], own, ids.device)
        real = mask[row, kept].bool()
        columns.append(kept[real])
        position_columns.append(taken[real])
        moved = positions[:, row]
        if policy == "contiguous" and len(positions) > 1:
            moved = closed_up(moved, blocks_of(own, ids.device))
        numbered.append(moved[:, taken[real]])
        if policy == "contiguous" and len(positions) == 1:
            numbered[-1] = torch.arange(int(real.sum()), device=ids.device)[None]
    right = bool((mask[:, 0] == 1).all()) and bool((mask[:, -1] == 0).any())
    fills = {"input_ids": pad, "attention_mask": 0, "labels": NO_LABEL}
    arguments = {}
    for name in ("input_ids", "attention_mask", *PER_TOKEN):
        value = given.get(name)
        if isinstance(value, Tensor):
            rows = [value[row, kept] for row, kept in enumerate(columns)]
            arguments[name] = padded(rows, fills.get(name, 0), right)
    axes = [padded([row[axis] for row in numbered], 0, right) for axis in range(len(positions))]
    return ShortPrompt(arguments, torch.stack(axes), tuple(columns))


def row_columns(
    length: int, slots: Sequence[ItemSlots], device: torch.device
) -> tuple[Int[Tensor, "r"], Int[Tensor, "r"]]:
    """Columns of one row that stay, in order, and the columns whose positions they take."""
    text = torch.ones(length, dtype=torch.bool, device=device)
    for entry in slots:
        text[entry.item.columns.to(device)] = False
    left = text.nonzero().flatten()
    kept = torch.cat([left, *(entry.columns.to(device) for entry in slots)])
    taken = torch.cat([left, *(entry.position_columns.to(device) for entry in slots)])
    order = torch.sort(kept, stable=True).indices
    return kept[order], taken[order]


def blocks_of(slots: Sequence[ItemSlots], device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Runs of visual tokens of one row, each with the columns of it that stay."""
    blocks = []
    for entry in slots:
        kept = torch.unique(entry.columns.to(device))
        columns = entry.item.columns.to(device)
        blocks += [(run, run[torch.isin(run, kept)]) for run in runs(columns)]
    return sorted(blocks, key=lambda block: int(block[0][0]))


def padded(rows: Sequence[Shaped[Tensor, "_"]], fill: int, right: bool) -> Shaped[Tensor, "b s"]:
    """Rows of one length, filled on one side.

    Example:
        >>> padded([torch.tensor([1, 2]), torch.tensor([3])], 0, right=False).tolist()
        [[1, 2], [0, 3]]
    """
    longest = max(map(len, rows))
    filled = []
    for row in rows:
        padding = row.new_full((longest - len(row),), fill)
        filled.append(torch.cat([row, padding] if right else [padding, row]))
    return torch.stack(filled)
