"""What the processor of a family makes of random pictures and videos."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class VisualInputs:
    """Some images or videos.

    Attributes:
        tensors: Arguments of the model's ``forward``.
        tokens: Placeholders of each image or video, in order.
        run: Placeholders of each that stand side by side, with words between such runs; 0 for all.
    """

    tensors: Mapping[str, Tensor]
    tokens: tuple[int, ...]
    run: int = 0


MakeInputs = Callable[[Sequence[int], Generator], VisualInputs]
"""Images of each row of a batch (a count per row), drawn from a generator."""


def pixels(
    *shape: int, tokens: int, name: str = "pixel_values", run: int = 0, **each: Sequence[object]
) -> MakeInputs:
    """Images or videos of one shape; ``each`` are further arguments, an entry per image."""

    def make(counts: Sequence[int], generator: Generator) -> VisualInputs:
        total = sum(counts)
        tensors = {name: torch.randn((total, *shape), generator=generator)}
        tensors |= {key: torch.tensor([value] * total) for key, value in each.items()}
        return VisualInputs(tensors, (tokens,) * total, run)

    return make


def squares(side: int, tokens: int, **options: str) -> MakeInputs:
    """Square images [images, 3, side, side]."""
    return pixels(3, side, side, tokens=tokens, **options)


def frames(count: int, side: int, tokens: int) -> MakeInputs:
    """Videos [videos, frames, 3, side, side]."""
    return pixels(count, 3, side, side, tokens=tokens, name="pixel_values_videos")


def in_rows(side: int, tokens: int) -> MakeInputs:
    """Square images [rows, images, 3, side, side]; every row has the same number of images."""

    def make(counts: Sequence[int], generator: Generator) -> VisualInputs:
        shape = (len(counts), max(counts), 3, side, side)
        made = {"pixel_values": torch.randn(shape, generator=generator)}
        return VisualInputs(made, (tokens,) * sum(counts))

    return make


def grids(
    kind: str,
    time: int,
    height: int,
    width: int,
    patch: tuple[int, ...] = (3 * 2 * 4 * 4,),
    run: int = 0,
    sides: bool = False,
    mask: bool = False,
) -> MakeInputs:
    """Images or videos as patches, and the grid of these; 2 x 2 patches make a token.

    Args:
        kind: "image" or "video".
        time: Patches in time.
        height: Patches in height.
        width: Patches in width.
        patch: Shape of a patch: channels x frames x 4 x 4 pixels, flat or not.
        run: Placeholders side by side.
        sides: Whether the side of the merged squares is an argument too.
        mask: Whether one that keeps every token is, too.
    """

    def make(counts: Sequence[int], generator: Generator) -> VisualInputs:
        total, cells = sum(counts), time * height * width
        plain = kind == "image"
        tensors = {
            "pixel_values" if plain else "pixel_values_videos": torch.randn(
                (total * cells, *patch), generator=generator
            ),
            f"{kind}_grid_thw": torch.tensor([[time, height, width]] * total),
        }
        if sides:
            tensors[f"{kind}_merge_sizes"] = torch.full((total,), 2)
        if mask:
            tensors[f"{kind}_compression_mask"] = torch.ones(total * cells // 4, dtype=torch.bool)
        return VisualInputs(tensors, (cells // 4,) * total, run)

    return make
