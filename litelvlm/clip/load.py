"""Load a pair of towers by name: from open_clip, a folder or the Hugging Face hub."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from open_clip import create_model, get_tokenizer, list_models
from open_clip.factory import get_model_config
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from PIL import Image
from transformers import AutoConfig, CLIPModel

from litelvlm.clip.hf import ClipTower, read_tokenizer
from litelvlm.clip.open_clip import OpenClipTower
from litelvlm.clip.preprocessing import Preprocessing, per_channel
from litelvlm.clip.tower import Tower
from litelvlm.data.safe.archives import check_archives
from litelvlm.data.safe.hub_copies import snapshot
from litelvlm.data.safe.whole_models import whole_model
from litelvlm.finite import require_finite_weights
from litelvlm.hub_ids import is_hub_id
from litelvlm.names import check_name, unknown_name
from litelvlm.number_types import number_type

PREFIX = "open_clip:"
T = TypeVar("T")


def load_tower(
    name: str | Path,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    random_init: bool = False,
) -> Tower:
    """Load a pair of towers by name, frozen and in evaluation mode.

    Args:
        name: "open_clip:<model>/<tag>" ("open_clip:ViT-L-14-336/openai"), a folder (Hugging Face
            CLIP, or open_clip's with ``open_clip_config.json``), or the hub id of a Hugging Face
            CLIP.
        dtype: "float32" (if not given), "bfloat16" or "float16".
        device: None takes the first GPU, else the CPU.
        random_init: Sizes, activation and crop of that name with weights as drawn; for controls and
            for cost.

    Returns:
        An ``OpenClipTower`` or a ``ClipTower``; both give the same states.

    Raises:
        ValueError: If a name, tag or number type is unknown, or the model is of no known family.
        FileNotFoundError: If a folder holds no configuration, or weights can be neither found nor
            fetched.

    The tag decides activation (QuickGELU) and normalisation, not the model's name: open_clip itself
    only warns when ``ViT-L-14-336`` with the tag ``openai`` runs with another activation than it
    was trained with.
    """
    kind = number_type(dtype)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    text, folder = str(name), Path(name)
    if text.startswith(PREFIX):
        tower = _from_open_clip(text.removeprefix(PREFIX), random_init)
    elif (folder / "open_clip_config.json").is_file():
        check_archives(folder)
        source = f"local-dir:{folder}"
        model = create_model(
            source, load_weights=not random_init, require_pretrained=not random_init
        )
        tower = OpenClipTower(model, get_tokenizer(source))
    elif folder.is_dir() or _is_hub_tower(text):
        tower = _from_hugging_face(text, random_init)
    else:
        raise unknown_name(
            text, ["a folder", "a hub id 'owner/name'", "open_clip:<model>/<tag>"], "tower"
        )
    return tower.to(place, kind).requires_grad_(False).eval()


def _is_hub_tower(name: str) -> bool:
    head = name.split("/")[0]
    if head in open_clip_vits():
        raise ValueError(f"unknown tower {name!r}; did you mean '{PREFIX}{name}'?")
    return is_hub_id(name)


def open_clip_vits() -> list[str]:
    """Names of open_clip's models that have published weights and are of a known family."""
    published = [name for name in list_models() if list_pretrained_tags_by_model(name)]
    configs = {name: get_model_config(name) for name in published}
    return [name for name, c in configs.items() if _is_known(c["vision_cfg"], c["text_cfg"])]


def _is_known(vision: Mapping[str, object], text: Mapping[str, object]) -> bool:
    timm = str(vision.get("timm_model_name", ""))
    native = isinstance(vision.get("layers"), int) and vision.get("pool_type", "tok") == "tok"
    plain = native and not vision.get("attentional_pool") and "block_type" not in vision
    return (plain or timm.startswith("eva") or "siglip" in timm) and "hf_model_name" not in text


def _from_open_clip(name: str, random_init: bool) -> Tower:
    model_name, _, tag = name.partition("/")
    check_name(model_name, open_clip_vits(), "open_clip ViT")
    check_name(
        tag,
        list_pretrained_tags_by_model(model_name),
        f"tag of {model_name} ('{PREFIX}{model_name}/<tag>')",
    )
    source, full_name = get_pretrained_cfg(model_name, tag), f"{PREFIX}{model_name}/{tag}"
    tokenizer = _fetched("tokenizer", full_name, lambda: get_tokenizer(model_name))
    weights = None
    if not random_init:
        weights = str(_fetched("weights", full_name, lambda: download_pretrained(source)))
    model = create_model(
        model_name,
        pretrained=weights,
        require_pretrained=not random_init,
        force_quick_gelu=source.get("quick_gelu", False),
        force_preprocess_cfg=source,
        weights_only=True,
    )
    return OpenClipTower(require_finite_weights(model, full_name), tokenizer)


def _fetched(what: str, name: str, fetch: Callable[[], T]) -> T:
    try:
        return fetch()
    except OSError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"{what} of {name}: not kept here and cannot be fetched ({reason}); "
            "connect once so that a copy is kept"
        ) from error


def _from_hugging_face(name: str, random_init: bool) -> Tower:
    folder = Path(name) if Path(name).is_dir() else _hub_copy(name, random_init)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{name} contains neither config.json nor open_clip_config.json; "
            "give the folder of a CLIP"
        )
    check_archives(folder)
    config = AutoConfig.from_pretrained(folder)
    if config.model_type != "clip":
        raise ValueError(
            f"{name} is a {config.model_type!r} model; Hugging Face towers are read for 'clip' "
            f"only, other families through open_clip ('{PREFIX}ViT-SO400M-14-SigLIP-384/webli')"
        )
    load = CLIPModel.from_pretrained
    clip = CLIPModel(config) if random_init else whole_model(load, folder, "CLIP")
    return ClipTower(clip, read_tokenizer(folder), _hugging_face_preprocessing(folder))


def _hub_copy(name: str, random_init: bool) -> Path:
    """The files of a hub id; of two forms of the same weights only safetensors."""
    small = ("*.json", "*.txt")
    folder = snapshot(name, "model", small if random_init else (*small, "*.safetensors"))
    if random_init or any(folder.glob("*.safetensors")):
        return folder
    return snapshot(name, "model", (*small, "*.bin"))


def _hugging_face_preprocessing(folder: Path) -> Preprocessing:
    path = folder / "preprocessor_config.json"
    stored = json.loads(path.read_text()) if path.is_file() else {}
    standard = Preprocessing()
    return Preprocessing(
        per_channel(stored.get("image_mean", standard.mean)),
        per_channel(stored.get("image_std", standard.std)),
        "shortest" if stored.get("do_center_crop", True) else "squash",
        "bilinear" if stored.get("resample") == Image.Resampling.BILINEAR else "bicubic",
    )
