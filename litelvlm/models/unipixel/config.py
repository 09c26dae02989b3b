"""``config.json`` of a UniPixel checkpoint, and the sizes of the published ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLTextConfig

from litelvlm.data.safe.shown import shown
from litelvlm.models.configs import check_bounds, read_fields, rotation
from litelvlm.models.sam2.sizes import SAM21_BASE_PLUS, Sam2Sizes
from litelvlm.models.unipixel.frames import FRAMES_AT_ONCE, MERGE, PATCH
from litelvlm.names import check_name

MODEL_TYPE = "pixel_qwen2_5_vl"
SAM2_CONFIGS: Mapping[str, Sam2Sizes] = MappingProxyType(
    {"configs/sam2.1_hiera_b+": SAM21_BASE_PLUS}
)
"""Sizes of SAM2 by the file of the official code that ``sam2_config`` names."""
SAM2_SIZES = "sam2_sizes"
"""Field of ours with the sizes in which a SAM2 differs from all files of the official code."""
_ROTATION = ("rope_theta", "rope_scaling", "rope_parameters", "mrope_section")
_TEXT = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "hidden_act", "max_position_embeddings"),
    *("rms_norm_eps", "sliding_window", "use_sliding_window", *_ROTATION),
    *("max_window_layers", "tie_word_embeddings", "initializer_range"),
)
_VISION = (
    *("depth", "hidden_size", "num_heads", "intermediate_size", "out_hidden_size"),
    *("window_size", "fullatt_block_indexes", "tokens_per_second"),
)
"""Sizes whose defaults in the library are those of another model."""
_PATCHES = MappingProxyType(
    {"patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": FRAMES_AT_ONCE}
)
_DEEPEST = 256


@dataclass(frozen=True)
class UniPixelConfig:
    """What a checkpoint says of its parts.

    Attributes:
        qwen: Sizes of Qwen2.5-VL.
        sam2: Sizes of SAM2.
        seg_token_id: Of the token of a mask.
        video_token_id: Of the placeholder of a visual token.
        prompt_tokens: Tokens that SAM2 gets of each expression.
    """

    qwen: Qwen2_5_VLConfig
    sam2: Sam2Sizes
    seg_token_id: int
    video_token_id: int
    prompt_tokens: int

    @property
    def width(self) -> int:
        """Width of the language model's states."""
        return cast(Qwen2_5_VLTextConfig, self.qwen.text_config).hidden_size

    @property
    def tied(self) -> bool:
        """Whether the language model's head is its matrix of embeddings."""
        return bool(self.qwen.tie_word_embeddings)


def read_config(folder: Path) -> UniPixelConfig:
    """Read a checkpoint's ``config.json``.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no UniPixel's, or a size is missing or out of bounds.
    """
    given = read_fields(folder, "UniPixel")
    where = str(folder / "config.json")
    if given.get("model_type") != MODEL_TYPE:
        raise ValueError(
            f"{where} is of model_type {shown(given.get('model_type'))}, a UniPixel's is "
            f"{MODEL_TYPE!r}"
        )
    return parsed(given, where)


def parsed(given: Mapping[str, object], where: str) -> UniPixelConfig:
    """The configuration from its fields.

    Raises:
        ValueError: As ``read_config``.
    """
    vision = _part(given, "vision_config", where)
    text = given.get("text_config") or {name: given[name] for name in _TEXT if name in given}
    if not isinstance(text, Mapping):
        raise ValueError(f"{where} has text_config {shown(text)}, expected its fields")
    text = {name: value for name, value in text.items() if value is not None}
    check_bounds({"text_config": text, "vision_config": vision}, where)
    _check_vision(vision, where)
    numbers = {
        name: _whole(given, name, where)
        for name in ("seg_token_id", "video_token_id", "sam2_hidden_tokens", "sam2_image_size")
    }
    tied = bool(given.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    try:
        qwen = Qwen2_5_VLConfig(
            text_config={**_with_rope(text, where), "tie_word_embeddings": tied},
            vision_config=dict(vision),
            video_token_id=numbers["video_token_id"],
            tie_word_embeddings=tied,
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"{where} has sizes that make no model: {error}") from error
    sam2 = sam2_sizes(given, numbers["sam2_image_size"], where)
    return UniPixelConfig(
        qwen, sam2, numbers["seg_token_id"], numbers["video_token_id"],
        numbers["sam2_hidden_tokens"],
    )  # fmt: skip


def sam2_sizes(given: Mapping[str, object], image_size: int, where: str) -> Sam2Sizes:
    """Sizes of SAM2 by the name of their file, or from a field of their own.

    Raises:
        ValueError: If the name is unknown, or a size is unknown or out of bounds.
    """
    sizes = {"image_size": image_size}
    own = given.get(SAM2_SIZES)
    if own is not None:
        return SAM21_BASE_PLUS.changed(own, SAM2_SIZES, where).changed(sizes, SAM2_SIZES, where)
    named = check_name(str(given.get("sam2_config")), SAM2_CONFIGS, "sam2_config")
    return SAM2_CONFIGS[named].changed(sizes, SAM2_SIZES, where)


def _with_rope(text: Mapping[str, object], where: str) -> dict[str, object]:
    """The fields of the language model with its rotation as today's library names it.

    Raises:
        ValueError: If positions are turned as is not computed here, or attention has a window.
    """
    if text.get("use_sliding_window"):
        raise ValueError(f"{where} has use_sliding_window=true; attention has no window here")
    turned: dict[str, object] = {"rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    turned |= rotation(text, where, ("rope_theta", "mrope_section"))
    width, heads = text.get("hidden_size"), text.get("num_attention_heads")
    axes = turned["mrope_section"]
    whole = isinstance(axes, list) and all(type(axis) is int for axis in axes)
    half = width // heads // 2 if type(width) is int and type(heads) is int else None
    if half is not None and not (whole and sum(cast(list[int], axes)) == half):
        raise ValueError(
            f"{where} has mrope_section={shown(axes)}; its sum must be half of a head, {half}"
        )
    rest = {k: v for k, v in text.items() if k not in _ROTATION}
    return {**rest, "rope_parameters": {"rope_type": "default", **turned}}


def _check_vision(vision: Mapping[str, object], where: str) -> None:
    """Refuse an image tower that reads other patches, or leaves a size to the library's default.

    Raises:
        ValueError: If it does.
    """
    absent = [name for name in _VISION if name not in vision]
    if absent:
        raise ValueError(f"{where} has a vision_config without {', '.join(absent)}")
    for name, own in _PATCHES.items():
        if vision.get(name, own) != own:
            raise ValueError(
                f"{where} has {name}={shown(vision[name])} in its vision_config; pictures are read "
                f"here with {own}"
            )
    depth = vision["depth"]
    if type(depth) is not int or not 0 < depth <= _DEEPEST:
        raise ValueError(f"{where} has depth={shown(depth)}, expected 1 to {_DEEPEST}")


def _part(given: Mapping[str, object], name: str, where: str) -> Mapping[str, object]:
    found = given.get(name)
    if not isinstance(found, Mapping):
        raise ValueError(f"{where} has {name} {shown(found)}, expected its fields")
    return cast(Mapping[str, object], found)


def _whole(given: Mapping[str, object], name: str, where: str) -> int:
    found = given.get(name)
    if type(found) is not int or not 0 < found < 10**6:
        raise ValueError(f"{where} has {name}={shown(found)}, expected a whole number above 0")
    return found


PUBLISHED_SIZES: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "3b": {
            "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16,
            "num_key_value_heads": 2, "intermediate_size": 11008, "tie_word_embeddings": True,
            "vocab_size": 151936,
        },
        "7b": {
            "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
            "num_key_value_heads": 4, "intermediate_size": 18944, "tie_word_embeddings": False,
            "vocab_size": 152064,
        },
    }
)  # fmt: skip


def published_fields(size: str) -> dict[str, object]:
    """Fields of ``config.json`` that the published checkpoints have, by "3b" or "7b".

    Sizes are those of Qwen2.5-VL, whose windows are 112 pixels wide.
    """
    own = PUBLISHED_SIZES[check_name(size, PUBLISHED_SIZES, "size")]
    rope = {"type": "default", "mrope_section": [16, 24, 24]}
    text = {
        **own, "rope_theta": 1e6, "rope_scaling": rope, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 128000, "use_sliding_window": False,
    }  # fmt: skip
    vision = {
        "depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420,
        "out_hidden_size": own["hidden_size"], "patch_size": 14, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
        "tokens_per_second": 2,
    }  # fmt: skip
    return {
        "model_type": MODEL_TYPE, "text_config": text, "vision_config": vision,
        "tie_word_embeddings": own["tie_word_embeddings"], "video_token_id": 151656,
        "seg_token_id": 151666, "sam2_config": "configs/sam2.1_hiera_b+",
        "sam2_image_size": 768, "sam2_hidden_tokens": 2,
    }  # fmt: skip
