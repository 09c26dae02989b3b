"""Sizes of a GLaMM: its ``config.json``, read and checked, and the published sizes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from transformers import CLIPConfig, LlamaConfig, SamConfig, SamMaskDecoderConfig, SamVisionConfig

from litelvlm.data.safe.shown import shown
from litelvlm.models.configs import check_bounds, read_fields, rotation

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
)
# The model's code assumes these values; it would run a checkpoint with other values wrongly.
_FIXED = {
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": True,
    "hidden_act": "silu",
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
    config = read_fields(folder, "GLaMM checkpoint")
    check_config(config, str(folder / "config.json"))
    return cast(GlammConfig, config)


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
    rotation(config, where)
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
    fields |= rotation(config, "config.json")
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
