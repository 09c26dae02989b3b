"""Sizes of a GLaMM: its ``config.json``, read and checked, and the published sizes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict, cast

from transformers import CLIPConfig, LlamaConfig, SamConfig, SamMaskDecoderConfig, SamVisionConfig

from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.shown import shown

_LIMITS: Mapping[int, tuple[str, ...]] = {
    2_097_152: ("max_position_embeddings",),
    1_000_000: ("vocab_size",),
    131_072: ("intermediate_size", "mlp_dim"),
    32_768: ("hidden_size", "mm_hidden_size", "projection_dim", "out_dim", "iou_head_hidden_dim"),
    8_192: ("output_channels", "num_pos_feats"),
    4_096: ("image_size",),
    1_024: ("image_embedding_size", "patch_size", "window_size", "mask_input_channels"),
    512: ("num_attention_heads", "num_key_value_heads"),
    256: ("num_hidden_layers",),
    64: ("num_channels", "num_multimask_outputs", "iou_head_depth", "num_point_embeddings"),
}
_SIZES = {name: largest for largest, names in _LIMITS.items() for name in names}
"""Largest value of each size; the smallest is 1, but for those of ``_FROM_ZERO``."""
_FROM_ZERO = frozenset({"window_size"})
_REALS: Mapping[str, tuple[float, float]] = {
    "rms_norm_eps": (0.0, 1.0),
    "layer_norm_eps": (0.0, 1.0),
    "rope_theta": (1.0, 1e12),
    "mlp_ratio": (0.01, 64.0),
    "attention_dropout": (0.0, 1.0),
}
"""Smallest and largest value of each real number."""


def check_bounds(config: Mapping[str, object], where: str) -> None:
    """Refuse a configuration with a size or number out of bounds, in its parts too.

    Args:
        config: The fields; a value that is a mapping itself is a part with fields of its own.
        where: Its file, for the message.

    Raises:
        ValueError: Naming each field, its value and what is allowed; at most ten of them.
    """
    wrong = list(_wrong(cast(Mapping[object, object], config), ""))
    if wrong:
        rest = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
        raise ValueError(f"{where} has {'; '.join(wrong[:10])}{rest}")


def _wrong(config: Mapping[object, object], part: str) -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _wrong(dict(value), f"{part}{name}.")
        elif isinstance(name, str) and name in _SIZES:
            low = 0 if name in _FROM_ZERO else 1
            if not (type(value) is int and low <= value <= _SIZES[name]):
                allowed = f"whole numbers from {low} to {_SIZES[name]:,}"
                yield f"{part}{name}={shown(value)} (allowed: {allowed})"
        elif isinstance(name, str) and name in _REALS:
            bottom, top = _REALS[name]
            if not (type(value) in (int, float) and bottom <= float(str(value)) <= top):
                yield f"{part}{name}={shown(value)} (allowed: numbers from {bottom:g} to {top:g})"
    yield from _unfit_heads(config, part)


def _unfit_heads(config: Mapping[object, object], part: str) -> Iterator[str]:
    """Widths that the heads cannot share evenly."""
    heads = config.get("num_attention_heads")
    if type(heads) is not int or heads < 1:
        return
    width, shared = config.get("hidden_size"), config.get("num_key_value_heads")
    if type(width) is int and width % heads:
        yield f"{part}hidden_size {width}, which is not a multiple of num_attention_heads {heads}"
    if type(shared) is int and shared > 0 and heads % shared:
        yield (
            f"{part}num_attention_heads {heads}, which is not a multiple of num_key_value_heads "
            f"{shared}"
        )


_REQUIRED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "mm_hidden_size",
)
_LLAMA_FIELDS = (
    *_REQUIRED[:5],
    "num_key_value_heads",
    "rms_norm_eps",
    "max_position_embeddings",
    "rope_theta",
)
# The model's code assumes these values; it would run a checkpoint with other values wrongly.
_FIXED = {
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": True,
    "hidden_act": "silu",
    "rope_scaling": None,
}


class GlammConfig(TypedDict, total=False):
    """Fields of a GLaMM's ``config.json``.

    ``check_config`` makes sure that all sizes and ``rms_norm_eps`` are there. "sam" replaces the
    sizes of SAM ViT-H.
    """

    model_type: str
    architectures: list[str]
    mm_vision_select_layer: int
    mm_vision_select_feature: str
    mm_use_im_start_end: bool
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    mm_hidden_size: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    out_dim: int
    vision_tower: str
    mm_vision_tower: str
    sam: dict[str, object]


def read_config(folder: Path) -> GlammConfig:
    """Read and check the ``config.json`` of a checkpoint folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no JSON object, lacks a size, or describes a model that this code does
            not run.
    """
    config = _read_fields(folder, "GLaMM checkpoint")
    check_config(config, str(folder / "config.json"))
    return cast(GlammConfig, config)


def check_clip_config(folder: Path) -> None:
    """Refuse a CLIP whose ``config.json`` names impossible sizes.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no JSON object, or a field is out of bounds; the message names it.
    """
    config, path = _read_fields(folder, "CLIP"), folder / "config.json"
    check_bounds(config, str(path))
    for part in ("text_config", "vision_config"):
        if not isinstance(config.get(part, {}), Mapping):
            raise ValueError(f"{path} has {part}={shown(config[part])}; it holds sizes by name")


def _read_fields(folder: Path, what: str) -> Mapping[str, object]:
    """The fields of a ``config.json``; ``what`` it describes is for messages."""
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no config.json; give the folder of a {what}")
    try:
        config = read_json(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({shown(str(error))}); fetch it again") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds a {type(config).__name__}, expected an object with sizes")
    return config


def check_config(config: Mapping[str, object], where: str) -> None:
    """Refuse a configuration that no model can be built from.

    Raises:
        ValueError: Naming every field that is missing or impossible.
    """
    missing = [name for name in (*_REQUIRED, "rms_norm_eps") if name not in config]
    if missing:
        raise ValueError(
            f"{where} lacks {', '.join(missing)}; is it the config.json of a GLaMM checkpoint?"
        )
    check_bounds(config, where)
    if not isinstance(config.get("sam", {}), Mapping):
        raise ValueError(f"{where} has sam={shown(config['sam'])}; it holds the sizes of SAM")
    other = [
        f"{n}={shown(config[n])} (known: {v!r})" for n, v in _FIXED.items() if config.get(n, v) != v
    ]
    if other:
        raise ValueError(f"{where} has {', '.join(other)}; such a model is not known here")


def llama_config(config: GlammConfig) -> LlamaConfig:
    """The language model's configuration."""
    fields = {name: value for name, value in config.items() if name in _LLAMA_FIELDS}
    return LlamaConfig(**fields, tie_word_embeddings=False)  # type: ignore[arg-type]  # checked


def sam_config(config: GlammConfig) -> SamConfig:
    """SAM's configuration: the "sam" entry, or ViT-H as published.

    GLaMM's two-way blocks use layer-norm eps 1e-5, not the library's 1e-6.
    """
    if "sam" in config:
        return SamConfig(**config["sam"])  # type: ignore[arg-type]  # SamConfig checks them
    vision = SamVisionConfig(
        hidden_size=1280,
        num_hidden_layers=32,
        num_attention_heads=16,
        mlp_dim=5120,
        global_attn_indexes=[7, 15, 23, 31],
    )
    decoder = SamMaskDecoderConfig(layer_norm_eps=1e-5)
    return SamConfig(vision_config=vision.to_dict(), mask_decoder_config=decoder.to_dict())


def full_config() -> GlammConfig:
    """The published checkpoint's sizes."""
    return {
        "vocab_size": 32007,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 4096,
        "mm_hidden_size": 1024,
        "out_dim": 256,
    }


def full_clip_config() -> CLIPConfig:
    """CLIP ViT-L/14 at 336 pixels."""
    text = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "projection_dim": 768,
    }
    vision = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 336,
        "patch_size": 14,
        "projection_dim": 768,
    }
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=768)
