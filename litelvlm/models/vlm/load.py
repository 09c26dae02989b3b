"""From a name, a folder or an object of transformers to a model that answers and can be asked."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, cast

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.image_processing_utils import BaseImageProcessor

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.load import load_tower
from litelvlm.data.safe.archives import check_archives
from litelvlm.data.safe.whole_models import whole_model
from litelvlm.models.files import check_kernel, digest, find_files
from litelvlm.models.vlm.families import VLM_FAMILIES
from litelvlm.models.vlm.miniature import BOXES, CLIP, LLAVA, read_miniature
from litelvlm.models.vlm.model import ClipVlm, Processor, QueriedVlm, Vlm
from litelvlm.models.vlm.network import family_of
from litelvlm.models.vlm.prompts import Prompter
from litelvlm.models.vlm.queries.pictures import (
    GridReader,
    PictureReader,
    SquareReader,
    preprocessing_of,
)
from litelvlm.models.vlm.queries.towers import find_clip, own_tower
from litelvlm.names import check_name
from litelvlm.number_types import number_type

PREFIX = "vlm:"
"""Begins the name of such a model on the command line."""
EMBEDDED: Mapping[str, Path] = MappingProxyType({"embedded": LLAVA, "embedded-boxes": BOXES})
"""Folders of the miniature LLaVAs, by their names behind the prefix: one answers questions, one
writes boxes."""
READERS: Mapping[str, Literal["square", "grid"]] = MappingProxyType(
    {"llava": "square", "qwen2_vl": "grid", "qwen2_5_vl": "grid"}
)
"""Families that studies can ask, and how each reads a picture."""


class Parts(NamedTuple):
    """A model as its files or its owner give it.

    Attributes:
        name: Its name in runs.
        digest: sha256 over all that decides results, CLIP left out.
        network: The model.
        processor: Its processor.
        folder: Where it lies; None for an object.
    """

    name: str
    digest: str
    network: PreTrainedModel
    processor: Processor
    folder: Path | None


def load_vlm(
    model: str | Path | PreTrainedModel,
    processor: Processor | None = None,
    clip: str | Path | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn: str = "sdpa",
    revision: str | None = None,
    random_init: bool = False,
    pad: bool = False,
) -> Vlm:
    """Load a vision-language model of transformers that answers in words.

    Weights are read from safetensors alone. Studies can ask a LLaVA-1.5, Qwen2-VL or Qwen2.5-VL;
    the others only answer.

    Args:
        model: "embedded" or "embedded-boxes" (miniature LLaVAs), a folder, a hub id (all with or
            without "vlm:" in front), or a model object, of a family that ``litelvlm.prune``
            supports.
        processor: Of a model object, as ``AutoProcessor`` gives it; a folder holds its own.
        clip: Folder or hub id of the CLIP that LLaVA's image tower comes from, whose text tower
            ranks the tokens. None takes the folder "clip" beside the model, or a local copy of
            OpenAI's; "none" leaves the text tower out, so that only substitutes rank by a text.
        dtype: "float32", "bfloat16" or "float16"; None takes that of the checkpoint.
        device: None takes the first GPU, else the CPU. An object stays where it is.
        attn: Attention kernel: "sdpa", "eager" or "flash_attention_2".
        revision: Branch, tag or commit of a hub id.
        random_init: Draw weights (seed 0) instead of reading them.
        pad: Pad pictures to squares with the mean colour before the processor.

    Raises:
        ValueError: If the class is not supported, an argument does not go with the model, or the
            CLIP given is not the one that its image tower comes from.
        FileNotFoundError: If files are missing.
    """
    check_kernel(attn)
    if isinstance(model, PreTrainedModel):
        return assembled(of_object(model, processor), clip, pad)
    if processor is not None:
        raise ValueError(f"processor= goes with a model object; {model} brings its own")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    plain = str(model).removeprefix(PREFIX)
    if plain in EMBEDDED and not random_init:
        return miniature(f"{PREFIX}{plain}", EMBEDDED[plain], place, dtype, clip, pad)
    return assembled(of_files(model, dtype, place, attn, revision, random_init), clip, pad)


def assembled(parts: Parts, clip: str | Path | None, pad: bool = False) -> Vlm:
    """A model of its parts, with both towers of its CLIP where it has them.

    Raises:
        ValueError: As ``load_vlm``.
        FileNotFoundError: Likewise.
    """
    network, processor, family = parts.network, parts.processor, family_of(parts.network)
    template = getattr(processor, "chat_template", None) or processor.tokenizer.chat_template
    if template is None:
        raise ValueError(
            f"the processor of {parts.name} has no chat template; set its chat_template, or put "
            "chat_template.jinja into the folder"
        )
    prompter = Prompter(processor.tokenizer, template, int(network.config.image_token_id))
    kind = READERS.get(family.model_type)
    source = find_clip(kind == "square", parts.folder, network.config, clip)
    plain = Vlm(
        name=parts.name,
        digest=parts.digest,
        network=network,
        family=family,
        processor=processor,
        prompter=prompter,
        pad=pad,
    )
    if kind is None:
        return plain
    images = processor.image_processor
    reader = picture_reader(kind, network.config, images)
    if source is None:
        return QueriedVlm(**vars(plain), reader=reader)
    size = int(network.config.vision_config.image_size)
    tower = own_tower(network, source, preprocessing_of(images, size))
    both = hashlib.sha256(f"{parts.digest}{digest(source)}".encode()).hexdigest()
    return ClipVlm(**{**vars(plain), "digest": both}, reader=reader, tower=tower)


def picture_reader(
    kind: str, config: PreTrainedConfig, processor: BaseImageProcessor
) -> PictureReader:
    """How a model reads a picture."""
    vision = config.vision_config
    if kind == "square":
        size, patch = int(vision.image_size), int(vision.patch_size)
        return SquareReader(preprocessing_of(processor, size), size, patch)
    return GridReader(processor, int(vision.patch_size), int(vision.spatial_merge_size))


def miniature(
    name: str,
    folder: Path,
    device: torch.device,
    dtype: str | torch.dtype | None = None,
    clip: str | Path | None = None,
    pad: bool = False,
) -> Vlm:
    """A miniature LLaVA from its folder, on the CLIP of the miniature GLaMM.

    Args:
        name: What it is called in runs.
        folder: What ``save_miniature`` wrote.
        device: Where it goes.
        dtype: Of its weights; None takes float32.
        clip: None takes both towers of that CLIP; "none" leaves the text tower out.
        pad: Pad pictures to squares.

    Raises:
        ValueError: If a file does not fit.
        OSError: If a file is missing.
    """
    tower = load_tower(CLIP, device="cpu")
    if not isinstance(tower, ClipTower):
        raise ValueError(f"{CLIP.name} is not a CLIP of transformers; install the package again")
    network, processor = read_miniature(folder, tower)
    nn.Module.to(network, device, number_type(dtype, "float32"))
    parts = Parts(name, digest(folder), network, cast(Processor, processor), None)
    return assembled(parts, clip or CLIP, pad)


def of_object(model: PreTrainedModel, processor: Processor | None) -> Parts:
    """A model that is loaded already.

    Raises:
        ValueError: If its processor is missing.
    """
    if processor is None:
        raise ValueError(
            f"{type(model).__name__} answers in words about pictures; give its processor=, for "
            "example AutoProcessor.from_pretrained(...)"
        )
    model.eval()
    total = hashlib.sha256(weights_digest(model).encode())
    tokenizer, images = processor.tokenizer, processor.image_processor
    total.update(json.dumps(model.config.to_dict(), sort_keys=True, default=str).encode())
    total.update(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    total.update(str(getattr(processor, "chat_template", None) or tokenizer.chat_template).encode())
    total.update(json.dumps(images.to_dict(), sort_keys=True, default=str).encode())
    name = f"{PREFIX}{type(model).__name__}"
    return Parts(name, total.hexdigest(), model, processor, None)


def of_files(
    name: str | Path,
    dtype: str | torch.dtype | None,
    device: torch.device,
    attn: str,
    revision: str | None,
    random_init: bool,
) -> Parts:
    """A model from a folder or the hub."""
    plain = str(name).removeprefix(PREFIX)
    choices = [f"{PREFIX}{name}" for name in EMBEDDED]
    choices += ["vlm: and a folder", "vlm: and a hub id 'owner/name'"]
    folder, commit = find_files(plain, choices, revision, prefix=PREFIX)
    called = PREFIX + (f"{plain}@{commit[:12]}" if commit else folder.resolve().name)
    check_archives(folder)
    config = AutoConfig.from_pretrained(folder)
    check_name(config.model_type, VLM_FAMILIES, "family")
    stored = getattr(config, "dtype", None)
    kind = number_type(dtype, str(stored or torch.float32).removeprefix("torch."))
    loader = AutoModelForImageTextToText
    if random_init:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = loader.from_config(config, dtype=kind, attn_implementation=attn)
    else:
        network = whole_model(
            loader.from_pretrained,
            *(folder, "model"),
            strict=False,
            dtype=kind,
            attn_implementation=attn,
            use_safetensors=True,
        )
    processor = cast(Processor, AutoProcessor.from_pretrained(folder))
    if not hasattr(processor, "image_processor"):
        raise ValueError(
            f"{called} has no image processor, which says how it reads a picture; put "
            "preprocessor_config.json into the folder"
        )
    content = weights_digest(network) if random_init else digest(folder)
    called += " (random weights)" if random_init else ""
    called += "" if attn == "sdpa" else f"[attn={attn}]"
    network = network.to(device).eval().requires_grad_(False)
    return Parts(called, content, network, processor, folder)


def weights_digest(module: nn.Module) -> str:
    """sha256 over names, shapes, types and numbers of all tensors of a module."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        total.update(flat.view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
