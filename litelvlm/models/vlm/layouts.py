"""How a family's visual tokens of one image or video lie, read off the arguments of a call."""

from collections.abc import Callable, Mapping
from math import isqrt
from typing import Literal

from torch import Tensor
from transformers import PreTrainedConfig

from litelvlm.layout import Layout

Patches = Literal["one", "blocks", "groups", "unknown"]
"""Patches of a token: one; a square of the grid; as many that follow each other; not known."""


FindLayout = Callable[[PreTrainedConfig, Mapping[str, object], str, int, int], Layout]
"""(configuration, arguments of the call, modality, index of the image, tokens) to its layout."""


def line(
    config: PreTrainedConfig, given: Mapping[str, object], modality: str, index: int, tokens: int
) -> Layout:
    """One row: the family does not tell where its tokens lie."""
    return Layout(1, 1, tokens)


def square(
    config: PreTrainedConfig, given: Mapping[str, object], modality: str, index: int, tokens: int
) -> Layout:
    """A square where the number of tokens is one, else one row; a video's frames are squares."""
    frames = 1
    pixels = given.get("pixel_values_videos")
    if modality == "video" and isinstance(pixels, Tensor) and pixels.ndim == 5:
        frames = pixels.shape[1]
    each = tokens // frames
    if frames * each != tokens:
        return Layout(1, 1, tokens)
    side = isqrt(each)
    return Layout(frames, side, side) if side * side == each else Layout(frames, 1, each)


def patch_grid(
    config: PreTrainedConfig, given: Mapping[str, object], modality: str, index: int, tokens: int
) -> Layout:
    """The grid of patches that the call gives, divided by the squares that are merged."""
    grid, sides = given.get(f"{modality}_grid_thw"), given.get(f"{modality}_merge_sizes")
    if not isinstance(grid, Tensor):
        return Layout(1, 1, tokens)
    frames, height, width = (int(size) for size in grid[index])
    if isinstance(sides, Tensor):
        merge = int(sides[index])
    else:
        merge = int(config.vision_config.spatial_merge_size)
    found = Layout(frames, height // merge, width // merge)
    return found if found.n_tokens == tokens else Layout(1, 1, tokens)


def image_size(
    config: PreTrainedConfig, given: Mapping[str, object], modality: str, index: int, tokens: int
) -> Layout:
    """The size of the image in pixels that the call gives, divided by that of a token."""
    sizes = given.get("image_sizes")
    if sizes is None:
        return Layout(1, 1, tokens)
    side = int(config.vision_config.patch_size) * int(config.spatial_merge_size)
    height, width = (int(size) // side for size in sizes[index])  # type: ignore[index]
    return Layout(1, height, width) if height * width == tokens else Layout(1, 1, tokens)
