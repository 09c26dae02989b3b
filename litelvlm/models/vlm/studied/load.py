"""From a folder, a hub id or an object of transformers to a model that studies can ask."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.image_processing_utils import BaseImageProcessor

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.load import load_tower
from litelvlm.data.safe.archives import check_archives
from litelvlm.finite import require_finite_weights
from litelvlm.hub_ids import is_hub_id
from litelvlm.models.files import digest, hub_folder
from litelvlm.models.vlm.answering.load import EMBEDDED
from litelvlm.models.vlm.miniature import CHAT_TEMPLATE, CLIP, LLAVA, read_miniature
from litelvlm.models.vlm.recognition import family_of
from litelvlm.models.vlm.studied.answers import Speaker
from litelvlm.models.vlm.studied.model import ClipVlm, Vlm
from litelvlm.models.vlm.studied.pictures import (
    GridReader,
    PictureReader,
    SquareReader,
    preprocessing_of,
)
from litelvlm.models.vlm.studied.prompts import Prompter
from litelvlm.models.vlm.studied.towers import find_clip, own_tower
from litelvlm.names import check_name, unknown_name
from litelvlm.number_types import number_type

PREFIX = "vlm:"
"""Begins the name of such a model on the command line."""
READERS: Mapping[str, Literal["square", "grid"]] = MappingProxyType(
    {"llava": "square", "qwen2_vl": "grid", "qwen2_5_vl": "grid"}
)
"""Families that studies can ask, and how each reads a picture."""
PROCESSORS = ("preprocessor_config.json", "processor_config.json")


class Parts(NamedTuple):
    """A model as its files or its owner give it.

    Attributes:
        name: Its name in runs.
        digest: sha256 over all that decides results, CLIP left out.
        network: The model.
        tokenizer: Its tokenizer.
        processor: Its image processor; None stands for OpenAI CLIP's.
        folder: Where it lies; None for an object.
    """

    name: str
    digest: str
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    processor: BaseImageProcessor | None
    folder: Path | None


def load_vlm(
    model: str | Path | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None = None,
    image_processor: BaseImageProcessor | None = None,
    clip: str | Path | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn: str = "sdpa",
    revision: str | None = None,
    random_init: bool = False,
) -> Vlm:
    """Load a vision-language model of transformers for studies.

    Weights are read from safetensors alone.

    Args:
        model: "embedded" (the miniature LLaVA), a folder, a hub id (all with or without "vlm:" in
            front), or a model object of a family in ``READERS``.
        tokenizer: Of a model object; a folder holds its own.
        image_processor: Likewise. Without one, LLaVA reads pictures as OpenAI's CLIP does.
        clip: Folder or hub id of the CLIP that LLaVA's image tower comes from, whose text tower
            ranks the tokens. None takes the folder "clip" beside the model, or a local copy of
            OpenAI's; "none" leaves the text tower out, so that only substitutes rank by a text.
        dtype: "float32", "bfloat16" or "float16"; None takes that of the checkpoint.
        device: None takes the first GPU, else the CPU. An object stays where it is.
        attn: Attention kernel: "sdpa" or "eager".
        revision: Branch, tag or commit of a hub id.
        random_init: Draw weights (seed 0) instead of reading them.

    Raises:
        ValueError: If the class is not supported, an argument does not go with the model, or the
            CLIP given is not the one that its image tower comes from.
        FileNotFoundError: If files are missing.
    """
    if isinstance(model, PreTrainedModel):
        parts = of_object(model, tokenizer, image_processor)
    else:
        if tokenizer is not None or image_processor is not None:
            raise ValueError(
                f"tokenizer= and image_processor= go with a model object; {model} brings its own"
            )
        plain = str(model).removeprefix(PREFIX)
        if plain in EMBEDDED and not random_init:
            parts, clip = of_miniature(plain, dtype, device), clip or CLIP
        else:
            parts = of_files(model, dtype, device, attn, revision, random_init)
    network, family = parts.network, family_of(parts.network)
    kind = READERS[check_name(family.model_type, READERS, "family that studies can ask")]
    reader = picture_reader(kind, network.config, parts.processor)
    speaker = Speaker(Prompter(parts.tokenizer, int(network.config.image_token_id)))
    source = find_clip(kind == "square", parts.folder, network.config.vision_config, clip)
    if source is None:
        return Vlm(parts.name, parts.digest, network, family, reader, speaker)
    size = int(network.config.vision_config.image_size)
    tower = own_tower(network, source, preprocessing_of(parts.processor, size))
    both = hashlib.sha256(f"{parts.digest}{digest(source)}".encode()).hexdigest()
    return ClipVlm(parts.name, both, network, family, reader, speaker, tower)


def picture_reader(
    kind: str, config: PreTrainedConfig, processor: BaseImageProcessor | None
) -> PictureReader:
    """How a model reads a picture.

    Raises:
        ValueError: If a family of grids has no image processor.
    """
    vision = config.vision_config
    if kind == "square":
        size, patch = int(vision.image_size), int(vision.patch_size)
        return SquareReader(preprocessing_of(processor, size), size, patch)
    if processor is None:
        raise ValueError(
            f"a model of family {config.model_type!r} needs its image processor, which sets the "
            "grid of a picture; give image_processor=, or put preprocessor_config.json into the "
            "folder"
        )
    return GridReader(processor, int(vision.patch_size), int(vision.spatial_merge_size))


def of_miniature(
    name: str, dtype: str | torch.dtype | None, device: str | torch.device | None
) -> Parts:
    """The miniature LLaVA, on the CLIP of the miniature GLaMM."""
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    tower = load_tower(CLIP, device="cpu")
    if not isinstance(tower, ClipTower):
        raise ValueError(f"{CLIP.name} is not a CLIP of transformers; install the package again")
    network, processor = read_miniature(LLAVA, tower)
    tokenizer = processor.tokenizer
    tokenizer.chat_template = CHAT_TEMPLATE
    parts = of_object(network.eval(), tokenizer, processor.image_processor)
    nn.Module.to(network, place, number_type(dtype, "float32"))
    return parts._replace(name=f"{PREFIX}{name}")


def of_object(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    processor: BaseImageProcessor | None,
) -> Parts:
    """A model that is loaded already.

    Raises:
        ValueError: If its tokenizer is missing.
    """
    if tokenizer is None:
        raise ValueError(
            f"{type(model).__name__} answers in words; give its tokenizer=, for example "
            "AutoTokenizer.from_pretrained(...)"
        )
    model.eval()
    total = hashlib.sha256(weights_digest(model).encode())
    total.update(json.dumps(model.config.to_dict(), sort_keys=True, default=str).encode())
    total.update(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    total.update(str(tokenizer.chat_template).encode())
    if processor is not None:
        total.update(json.dumps(processor.to_dict(), sort_keys=True, default=str).encode())
    name = f"{PREFIX}{type(model).__name__}"
    return Parts(name, total.hexdigest(), model, tokenizer, processor, None)


def of_files(
    name: str | Path,
    dtype: str | torch.dtype | None,
    device: str | torch.device | None,
    attn: str,
    revision: str | None,
    random_init: bool,
) -> Parts:
    """A model from a folder or the hub."""
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    check_name(attn, ("sdpa", "eager"), "attention kernel")
    folder, called = find_folder(name, revision)
    check_archives(folder)
    config = AutoConfig.from_pretrained(folder)
    check_name(config.model_type, READERS, "family that studies can ask")
    stored = getattr(config, "dtype", None)
    kind = number_type(dtype, str(stored or torch.float32).removeprefix("torch."))
    loader = AutoModelForImageTextToText
    if random_init:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = loader.from_config(config, dtype=kind, attn_implementation=attn)
    else:
        network = loader.from_pretrained(
            folder, dtype=kind, attn_implementation=attn, use_safetensors=True
        )
        require_finite_weights(network, called)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = stored_template(folder)
    has_processor = any((folder / file).is_file() for file in PROCESSORS)
    processor = AutoImageProcessor.from_pretrained(folder) if has_processor else None
    content = weights_digest(network) if random_init else digest(folder)
    called += " (random weights)" if random_init else ""
    called += "" if attn == "sdpa" else f"[attn={attn}]"
    network = network.to(place).eval().requires_grad_(False)
    return Parts(called, content, network, tokenizer, processor, folder)


def find_folder(name: str | Path, revision: str | None) -> tuple[Path, str]:
    """The folder of a model, and its name in runs.

    Raises:
        ValueError: If the name is neither a folder nor a hub id.
        FileNotFoundError: If a hub id has no local copy and cannot be fetched.
    """
    plain = str(name).removeprefix(PREFIX)
    path = Path(plain).expanduser()
    if path.is_dir():
        if revision is not None:
            raise ValueError(f"revision {revision!r} goes with a hub id; {plain} is a folder")
        return path, f"{PREFIX}{path.resolve().name}"
    if not is_hub_id(plain):
        raise unknown_name(
            plain, [*EMBEDDED, "a folder of a LLaVA or Qwen-VL", "a hub id 'owner/name'"], "model"
        )
    folder = hub_folder(plain, revision)
    return folder, f"{PREFIX}{plain}@{folder.name[:12]}"


def stored_template(folder: Path) -> str | None:
    """The chat template that older processors keep in a file of their own; None without one."""
    path = folder / "chat_template.json"
    return str(json.loads(path.read_text())["chat_template"]) if path.is_file() else None


def weights_digest(module: nn.Module) -> str:
    """sha256 over names, shapes, types and numbers of all tensors of a module."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        total.update(flat.view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
