"""The supported families of transformers vision-language models, and what is special in each.

The table imports no model class, so that listing it is fast.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from math import isqrt
from types import MappingProxyType
from typing import TypedDict

from torch import Tensor
from transformers import PreTrainedConfig

from litelvlm.layout import Layout
from litelvlm.models.vlm_base.patches import Patches

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


def one_tile(
    config: PreTrainedConfig, given: Mapping[str, object], modality: str, index: int, tokens: int
) -> Layout:
    """The square of an image that is one tile; of more tiles the family does not tell the places.

    The tokens of several tiles can be a square number, too.
    """
    side = int(config.vision_config.image_size) // int(config.vision_config.patch_size)
    if modality == "image" and tokens != side * side:
        return Layout(1, 1, tokens)
    return square(config, given, modality, index, tokens)


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
    side = int(config.vision_config.patch_size) * int(getattr(config, "spatial_merge_size", 1))
    height, width = (int(size) // side for size in sizes[index])  # type: ignore[index]
    return Layout(1, height, width) if height * width == tokens else Layout(1, 1, tokens)


def sized_or_square(
    config: PreTrainedConfig, given: Mapping[str, object], modality: str, index: int, tokens: int
) -> Layout:
    """The size of the image where the call gives one, as for a Pixtral tower; else a square."""
    found = square if given.get("image_sizes") is None else image_size
    return found(config, given, modality, index, tokens)


@dataclass(frozen=True)
class VlmFamily:
    """One family.

    Attributes:
        model_type: Its name in transformers.
        special: What differs from a plain row of image tokens, one phrase each.
        layout: How the tokens of an image lie.
        videos: It takes videos.
        field: Field of the encoder's output that holds the visual tokens.
        projector: The model's module that they go through on their way to the language model;
            empty where they are behind it.
        video_placeholder: Field of the configuration with the placeholder of a video.
        separators: Some rows of an image's features are no patches but mark ends of lines.
        tiles: Tokens of each tile are one image of their own; 0 if the encoder says so itself.
        frames_apart: The encoder gives each frame of a video apart.
        first_position: Position of the first token in ``forward``.
        patches: How a token is made of the tower's patches, for methods that read the tower.
    """

    model_type: str
    special: tuple[str, ...] = ()
    layout: FindLayout = square
    videos: bool = False
    field: str = "pooler_output"
    projector: str = ""
    video_placeholder: str = "video_token_id"
    separators: bool = False
    tiles: bool = False
    frames_apart: bool = False
    first_position: int = 0
    patches: Patches = "unknown"


TILES = "each tile is an image of its own"
MROPE = "positions on three axes (mRoPE)"
NEWLINES = "end-of-line rows stay"
TYPES = "mm_token_type_ids"
DEEPSTACK = "deepstack features"
SHARED = "a video stands at placeholders of images"
WINDOWS = "sliding windows"
IMAGE_BOTH_WAYS = "image attends to itself in both directions"
PROMPT_BOTH_WAYS = "prompt attends in both directions"
BIDIRECTIONAL = frozenset({IMAGE_BOTH_WAYS, PROMPT_BOTH_WAYS})

_GRID = patch_grid
_ROWS = (
    VlmFamily("llava", (), sized_or_square, patches="one"),
    VlmFamily("vipllava", patches="one"),
    VlmFamily("llava_next", (NEWLINES, "tokens of all tiles in one row"), line, separators=True),
    VlmFamily(
        "llava_next_video",
        (NEWLINES, "tokens of all tiles in one row"),
        one_tile,
        videos=True,
        separators=True,
    ),
    VlmFamily(
        "llava_onevision",
        (NEWLINES, "tokens of all tiles in one row"),
        one_tile,
        videos=True,
        separators=True,
    ),
    # A square of patches and a CLS row are never a square number: a frame is one row.
    VlmFamily("video_llava", ("frames hold a CLS row",), videos=True, frames_apart=True),
    VlmFamily("internvl", (TILES,), patches="blocks"),
    VlmFamily("qwen2_vl", (MROPE, TYPES), _GRID, videos=True, patches="groups"),
    VlmFamily("qwen2_5_vl", (MROPE, TYPES), _GRID, videos=True, patches="groups"),
    VlmFamily("qwen3_vl", (MROPE, TYPES, DEEPSTACK), _GRID, videos=True, patches="groups"),
    VlmFamily("qwen3_vl_moe", (MROPE, TYPES, DEEPSTACK), _GRID, videos=True, patches="groups"),
    VlmFamily(
        "glm4v",
        (MROPE, TYPES, SHARED),
        _GRID,
        videos=True,
        video_placeholder="image_token_id",
        patches="groups",
    ),
    VlmFamily(
        "glm46v",
        (MROPE, TYPES, SHARED),
        _GRID,
        videos=True,
        video_placeholder="image_token_id",
        patches="groups",
    ),
    VlmFamily("paddleocr_vl", (MROPE, TYPES), _GRID),
    VlmFamily("video_llama_3", (), _GRID, videos=True),
    VlmFamily("idefics2", ("resampled tokens have no place in the image",), line, tiles=True),
    VlmFamily("idefics3", (TILES,), tiles=True, patches="blocks"),
    VlmFamily("smolvlm", (TILES,), tiles=True, patches="blocks"),
    VlmFamily("mistral3", ("row breaks are text",), image_size),
    VlmFamily("lighton_ocr", (), image_size),
    VlmFamily("gemma3", ("token_type_ids", IMAGE_BOTH_WAYS, WINDOWS), patches="blocks"),
    VlmFamily(
        "paligemma",
        ("token_type_ids", PROMPT_BOTH_WAYS, "positions start at 1"),
        first_position=1,
        patches="one",
    ),
    VlmFamily("aya_vision", (TILES, WINDOWS), patches="blocks"),
    VlmFamily("cohere2_vision", (TILES, WINDOWS), patches="blocks"),
    VlmFamily("deepseek_vl", patches="one"),
    VlmFamily("janus", patches="one"),
    VlmFamily("ovis2", ("indicator tokens are text",), patches="blocks"),
    VlmFamily("got_ocr2", (TILES,)),
    VlmFamily(
        "llama4",
        (TILES, "pruned before the projector"),
        field="last_hidden_state",
        projector="multi_modal_projector",
    ),
    VlmFamily("lfm2_vl", ("convolution layers",), line),
    VlmFamily("qwen3_5", (MROPE, TYPES, "linear attention layers"), _GRID, videos=True),
)
VLM_FAMILIES: Mapping[str, VlmFamily] = MappingProxyType({f.model_type: f for f in _ROWS})
"""Families by their name in transformers, in the order of tables."""


MEASURED = "measured.json"


class Differences(TypedDict):
    """One proof: see ``benchmarks/vlm_proof.py``."""

    handed_back: float
    masked: float
    masked_double: float
    generated: float
    batched: float
    effect: float


def measured_differences() -> dict[str, dict[str, Differences]]:
    """Stored proofs: family, then "image" or "video"."""
    text = resources.files("litelvlm.models.vlm").joinpath(MEASURED).read_text(encoding="utf-8")
    families: dict[str, dict[str, Differences]] = json.loads(text)["families"]
    return families
