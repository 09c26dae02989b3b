"""Load a vision-language model of transformers with its processor, by name."""

from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.load import load_tower
from litelvlm.clip.openai import OPENAI_CLIP, has_openai_sizes
from litelvlm.clip.tower import Tower
from litelvlm.data.content import content_digest
from litelvlm.data.safe.archives import check_archives
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.vlm.answering.vlm import AnsweringVlm, Processor
from litelvlm.models.vlm.miniature import CLIP, LLAVA, read_miniature
from litelvlm.models.vlm.recognition import family_of
from litelvlm.names import unknown_name
from litelvlm.number_types import number_type

EMBEDDED = ("embedded", "embedded-llava")
"""Names of the miniature LLaVA."""


def load_answering_vlm(
    name: str | Path = "embedded",
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    clip: str | Path | None = None,
    attn: str = "sdpa",
    pad: bool = False,
) -> AnsweringVlm:
    """Load a model that answers questions about images.

    Args:
        name: "embedded" for the miniature LLaVA, a folder, or a hub id of a family that
            ``litelvlm.prune`` supports (``llava-hf/llava-1.5-7b-hf``).
        dtype: "float32", "bfloat16" or "float16"; None takes float32 for the miniature and
            bfloat16 otherwise.
        device: None takes the first GPU, else the CPU.
        clip: Folder or hub id of the CLIP whose image tower the model has. Methods that read CLIP's
            text need it. LLaVA-1.5's own is taken if it is on this machine.
        attn: Attention kernel.
        pad: Pad pictures to squares with the mean colour before the processor.

    Raises:
        ValueError: If the name is none of these, or the family is not supported.
        FileNotFoundError: If files are missing.
    """
    home = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if str(name) in EMBEDDED:
        return miniature(str(name), LLAVA, home, number_type(dtype or "float32"), pad)
    folder = Path(name).expanduser()
    if not folder.is_dir() and not is_hub_id(name):
        raise unknown_name(str(name), [*EMBEDDED, "a folder", "a hub id 'owner/name'"], "model")
    if folder.is_dir():
        check_archives(folder)
    kind = number_type(dtype or "bfloat16")
    model = cast(
        PreTrainedModel,
        AutoModelForImageTextToText.from_pretrained(
            name, dtype=kind, attn_implementation=attn, use_safetensors=True
        ),
    )
    family_of(model)
    nn.Module.to(model, home)
    model.eval()
    model.requires_grad_(False)
    processor = cast(Processor, AutoProcessor.from_pretrained(name))
    files = sorted(p for p in folder.glob("*") if p.suffix in (".json", ".safetensors"))
    return AnsweringVlm(
        str(name),
        content_digest(files) if files else str(getattr(model.config, "_commit_hash", "")),
        model,
        processor,
        _clip_of(model, clip, kind, home),
        getattr(model.config, "image_seq_length", None),
        pad,
    )


def miniature(
    name: str,
    folder: Path,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    pad: bool = False,
) -> AnsweringVlm:
    """A miniature LLaVA from its folder and the CLIP of the miniature GLaMM.

    Args:
        name: What it is called.
        folder: What ``save_miniature`` wrote.
        device: Where it goes.
        dtype: Of its weights.
        pad: Pad pictures to squares.

    Raises:
        ValueError: If a file does not fit.
        OSError: If a file is missing.
    """
    tower = load_tower(CLIP, dtype="float32", device="cpu")
    assert isinstance(tower, ClipTower)  # noqa: S101 - for the type checker
    model, processor = read_miniature(folder, tower)
    nn.Module.to(model, device=device, dtype=dtype)
    return AnsweringVlm(
        name,
        content_digest([*folder.glob("*"), *CLIP.glob("*")]),
        model,
        cast(Processor, processor),
        load_tower(CLIP, dtype=dtype, device=device),
        model.config.image_seq_length,
        pad,
    )


def _clip_of(
    model: PreTrainedModel, clip: str | Path | None, dtype: torch.dtype, device: torch.device
) -> Tower | None:
    """The CLIP that is named, else LLaVA-1.5's where the tower has its sizes and it is here."""
    if clip is not None:
        return load_tower(clip, dtype=dtype, device=device)
    if not has_openai_sizes(getattr(model.config, "vision_config", None)):
        return None
    try:
        return load_tower(OPENAI_CLIP, dtype=dtype, device=device)
    except FileNotFoundError:
        return None
