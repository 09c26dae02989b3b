"""CLIP's own files beside a checkpoint, which does not hold CLIP: where they are, and the model."""

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import CLIPModel

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.openai import OPENAI_CLIP
from litelvlm.data.safe.shown import shown
from litelvlm.data.safe.whole_models import whole_model
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.configs import check_bounds, read_fields
from litelvlm.models.files import CheckpointSource, find_files

CLIP_CHOICES = ("a folder with CLIP's files", "a hub id 'owner/name'")


def clip_source(
    folder: Path, named: str | None, clip: str | Path | None = None
) -> CheckpointSource:
    """Find CLIP, which is no part of the published checkpoint.

    Args:
        folder: The checkpoint folder.
        named: What its ``config.json`` calls CLIP: a folder inside, or a hub id.
        clip: Folder or hub id that replaces the named one; a hub id given here may be fetched.

    Raises:
        FileNotFoundError: If it is not on this machine.
    """
    if clip is not None:
        return find_files(clip, CLIP_CHOICES)
    named = named or OPENAI_CLIP
    for place in (folder / named, folder / "clip"):
        if place.is_dir():
            return CheckpointSource(place, "")
    try:
        return find_files(named, CLIP_CHOICES, fetch=False)
    except (FileNotFoundError, ValueError) as error:
        wanted = named if is_hub_id(named) else OPENAI_CLIP
        raise FileNotFoundError(
            f"the CLIP of {folder} ({named}) is not on this machine: "
            f"run `hf download {wanted}` once, put its files into {folder / 'clip'}, "
            "or name a folder or hub id (clip= in Python, --clip on the command line)"
        ) from error


def check_clip_config(folder: Path) -> None:
    """Refuse a CLIP whose ``config.json`` names impossible sizes.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no JSON object, or a field is out of bounds; the message names it.
    """
    config, path = read_fields(folder, "CLIP"), folder / "config.json"
    check_bounds(config, str(path))
    for part in ("text_config", "vision_config"):
        if not isinstance(config.get(part, {}), Mapping):
            raise ValueError(f"{path} has {part}={shown(config[part])}; it holds sizes by name")


def check_clip_width(tower: ClipTower, folder: Path, field: str, width: int) -> None:
    """Refuse a CLIP of another width than the checkpoint's projector reads.

    Args:
        tower: CLIP.
        folder: Its files.
        field: Where the checkpoint's ``config.json`` states the width.
        width: That width.

    Raises:
        ValueError: If they differ.
    """
    found = int(tower.vision_config.hidden_size)
    if found != width:
        raise ValueError(
            f"the CLIP in {folder} has width {found}, the checkpoint expects {field} {width}; "
            "name the right one (clip= in Python, --clip on the command line)"
        )


def read_clip(folder: Path, dtype: torch.dtype, attn: str) -> CLIPModel:
    """Read a Hugging Face CLIP, from safetensors or a tensor-only .bin.

    Raises:
        ValueError: If a file is damaged or does not fit its ``config.json``, or a weight is
            missing, unknown, NaN or infinite. The library itself would draw a missing weight at
            random and ignore an unknown one.
        FileNotFoundError: If there are no weights.
    """
    load = CLIPModel.from_pretrained
    return whole_model(load, folder, "CLIP", dtype=dtype, attn_implementation=attn)
