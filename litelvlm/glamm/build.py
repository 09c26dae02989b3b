"""From a name to a model: the shipped miniature, a checkpoint folder or hub id, or full size with random weights."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    SamConfig,
    SamMaskDecoderConfig,
    SamModel,
    SamVisionConfig,
)

from litelvlm.clip.tower import ClipTower
from litelvlm.glamm.checkpoint import load_into
from litelvlm.glamm.model import Glamm
from litelvlm.glamm.tokenizer import GlammTokenizer
from litelvlm.names import check_name, unknown_name

EMBEDDED = Path(__file__).parent.parent / "embedded" / "weights"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ATTENTION = ("sdpa", "eager", "flash_attention_2")
_LLAMA_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "max_position_embeddings",
)


def load_model(
    name: str | Path = "embedded",
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn: str = "sdpa",
    random_init: bool = False,
) -> Glamm:
    """Load a GLaMM ready to segment.

    Args:
        name: "embedded" (the shipped miniature), a folder in the published layout, a hub id, or "glamm-7b" together
            with ``random_init``.
        dtype: "float32", "bfloat16" or "float16"; None takes float32 for the miniature and bfloat16 otherwise.
        device: None takes the first GPU, else the CPU.
        attn: Attention kernel of the language model and the towers: "sdpa", "eager" or "flash_attention_2".
        random_init: Build the sizes that ``name`` says and draw the weights; for measuring cost, never accuracy.

    Raises:
        ValueError: If the name, number type or kernel is unknown, or the checkpoint does not fit.
        FileNotFoundError: If the folder lacks a file.
    """
    check_name(attn, ATTENTION, "attention kernel")
    kind = _dtype(dtype, "float32" if name == "embedded" else "bfloat16")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name == "glamm-7b":
        if not random_init:
            raise ValueError("'glamm-7b' names sizes only; give random_init=True, or the folder or hub id of weights")
        return random_model(full_config(), EMBEDDED, kind, place, attn)
    folder = _folder(name)
    config = _read_config(folder)
    if random_init:
        return random_model(config, folder, kind, place, attn, name=str(name))
    with torch.device("meta"):
        parts = new_parts(config, attn)
    load_into(parts, folder, kind)
    clip_name = _clip_name(folder, config)
    clip = CLIPModel.from_pretrained(clip_name, dtype=kind, attn_implementation=attn, use_safetensors=True)
    tower = ClipTower(clip, CLIPTokenizer.from_pretrained(clip_name))
    model = assemble(parts, tower, GlammTokenizer.from_pretrained(folder), str(name), digest(folder))
    return model.to(place)


def assemble(
    parts: Mapping[str, nn.Module], tower: ClipTower, tokenizer: GlammTokenizer, name: str, weights: str
) -> Glamm:
    """Put the components together, frozen and in evaluation mode."""
    model = Glamm(**parts, tower=tower, tokenizer=tokenizer, name=name, digest=weights)  # type: ignore[arg-type]
    return model.requires_grad_(False).eval()


def new_parts(config: Mapping[str, Any], attn: str) -> dict[str, nn.Module]:
    """Components other than CLIP at the sizes of a configuration, on the current default device, weights as drawn.

    Args:
        config: Fields of the published ``config.json``; an additional "sam" entry overrides SAM ViT-H.
        attn: Attention kernel.
    """
    llama = LlamaConfig(**{k: config[k] for k in _LLAMA_FIELDS if k in config}, tie_word_embeddings=False)
    width, out = llama.hidden_size, int(config.get("out_dim", 256))
    visual = int(config["mm_hidden_size"])
    return {
        "llama": LlamaForCausalLM._from_config(llama, attn_implementation=attn),
        "projector": nn.Sequential(nn.Linear(visual, width), nn.GELU(), nn.Linear(width, width)),
        "seg_head": nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out)),
        # SAM's decomposed relative positions have an eager and an sdpa form only.
        "sam": SamModel._from_config(sam_config(config), attn_implementation="eager" if attn == "eager" else "sdpa"),
    }


def sam_config(config: Mapping[str, Any]) -> SamConfig:
    """SAM's configuration: the "sam" entry, or ViT-H as published.

    GLaMM's two-way blocks use layer-norm eps 1e-5, not the library's 1e-6.
    """
    if "sam" in config:
        return SamConfig(**config["sam"])
    vision = SamVisionConfig(
        hidden_size=1280,
        num_hidden_layers=32,
        num_attention_heads=16,
        mlp_dim=5120,
        global_attn_indexes=[7, 15, 23, 31],
    )
    decoder = SamMaskDecoderConfig(layer_norm_eps=1e-5)
    return SamConfig(vision_config=vision.to_dict(), mask_decoder_config=decoder.to_dict())


def full_config() -> dict[str, Any]:
    """Fields of the published checkpoint's ``config.json`` that decide sizes."""
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
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "projection_dim": 768}
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


def random_model(
    config: Mapping[str, Any],
    tokenizers: Path,
    dtype: torch.dtype,
    device: torch.device,
    attn: str,
    name: str = "glamm-7b",
) -> Glamm:
    """Build a model of the given sizes with weights drawn from seed 0; tokenizers come from ``tokenizers``."""
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            parts = new_parts(config, attn)
            full = name == "glamm-7b"
            clip_config = full_clip_config() if full else CLIPConfig.from_pretrained(_clip_name(tokenizers, config))
            clip = CLIPModel._from_config(clip_config, attn_implementation=attn)
    finally:
        torch.set_default_dtype(default)
    tower = ClipTower(clip, CLIPTokenizer.from_pretrained(_clip_name(tokenizers, _read_config(tokenizers))))
    return assemble(parts, tower, GlammTokenizer.from_pretrained(tokenizers), name, "random")


def digest(folder: Path) -> str:
    """sha256 over every weight file below a folder, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.bin")]):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _dtype(dtype: str | torch.dtype | None, fallback: str) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    return DTYPES[check_name(dtype or fallback, DTYPES, "number type")]


def _folder(name: str | Path) -> Path:
    if name == "embedded":
        return EMBEDDED
    path = Path(name)
    if path.is_dir():
        return path
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return Path(snapshot_download(name))
    raise unknown_name(str(name), ["embedded", "glamm-7b", "a checkpoint folder", "a hub id 'owner/name'"], "model")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no config.json; a GLaMM checkpoint folder has one")
    config: dict[str, Any] = json.loads(path.read_text())
    return config


def _clip_name(folder: Path, config: Mapping[str, Any]) -> str:
    """CLIP's place: a folder inside the checkpoint if it names one, else its hub id."""
    name = str(config.get("vision_tower") or config.get("mm_vision_tower") or "openai/clip-vit-large-patch14-336")
    inside = folder / name
    return str(inside) if inside.is_dir() else name
