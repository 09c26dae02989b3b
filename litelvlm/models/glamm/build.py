"""From a name to a model: the shipped miniature, a checkpoint, or random weights at full size."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel, LlamaForCausalLM, SamMaskDecoderConfig, SamModel

from litelvlm.clip.hf import ClipTower, read_tokenizer
from litelvlm.models.clip_files import check_clip_config, check_clip_width, clip_source, read_clip
from litelvlm.models.files import (
    EMBEDDED,
    check_kernel,
    digest,
    random_weights,
    usual_number_type,
)
from litelvlm.models.glamm.checkpoints.config import (
    GlammConfig,
    check_config,
    full_clip_config,
    full_config,
    llama_config,
    read_config,
    sam_config,
)
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.glamm.checkpoints.source import locate, named_clip
from litelvlm.models.glamm.masks.sam_attention import prepare_encoder
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.network import Origin
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer
from litelvlm.models.glamm.quantise import check_quantise, quantise_language_model, suffix
from litelvlm.models.weights import load_into
from litelvlm.number_types import number_type

FULL_SIZE = "glamm-7b"


def load_model(
    name: str | Path = "embedded",
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn: str = "sdpa",
    random_init: bool = False,
    options: GlammOptions | None = None,
    clip: str | Path | None = None,
    revision: str | None = None,
    quantise: str | None = None,
) -> Glamm:
    """Load a GLaMM ready to segment; arguments as for ``litelvlm.models.families.load_model``.

    Weights are read tensor by tensor into place, so memory never holds two copies of them.

    Raises:
        ValueError: As there, or if ``clip`` or ``revision`` is given for "glamm-7b".
        FileNotFoundError: As there.
    """
    check_kernel(attn)
    check_quantise(quantise)
    number_type(dtype)  # a wrong one is refused before anything is fetched
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    chosen, called = options or GlammOptions(), str(name)
    if name == FULL_SIZE:
        check_full_size(random_init, clip, revision)
        folder, config = EMBEDDED["embedded"], full_config()
        clip_folder = folder / "clip"
    else:
        folder, commit = locate(name, revision)
        called += f"@{commit[:12]}" if commit else ""
        config = read_config(folder)
        clip_folder = clip_source(folder, named_clip(config), clip).folder
        check_clip_config(clip_folder)
    kind = number_type(dtype, usual_number_type(config["hidden_size"]))
    tokenizer = GlammTokenizer.from_pretrained(folder)
    called += suffix(quantise)
    if random_init:
        full = name == FULL_SIZE
        clip_config = full_clip_config() if full else CLIPConfig.from_pretrained(clip_folder)
        parts, drawn = random_parts(config, clip_config, kind, place, attn, chosen)
        parts = with_fewer_bits(parts, quantise, place)
        tower = ClipTower(drawn, read_tokenizer(clip_folder))
        called += " (random weights)"
        return assemble(parts, tower, tokenizer, called, Origin("random"), chosen)
    if tokenizer.vocab_size > config["vocab_size"]:
        raise ValueError(
            f"the tokenizer of {folder} has {tokenizer.vocab_size} tokens, its config.json "
            f"{config['vocab_size']}; fetch both again"
        )
    with torch.device("meta"):
        parts = new_parts(config, attn, chosen)
    kinds = dict.fromkeys(parts, kind)
    if chosen.sam_dtype == "float32":
        kinds["sam"] = torch.float32
    load_into(NAMES, parts, folder, kinds, place)
    parts = with_fewer_bits(parts, quantise, place)
    tower = ClipTower(read_clip(clip_folder, kind, attn), read_tokenizer(clip_folder))
    check_clip_width(tower, clip_folder, "mm_hidden_size", config["mm_hidden_size"])
    folders = folder, clip_folder
    origin = Origin(digest(*folders), folders)
    return assemble(parts, tower, tokenizer, called, origin, chosen).to(place)


def check_full_size(random_init: bool, clip: str | Path | None, revision: str | None) -> None:
    """Refuse to look for files of the name that stands for published sizes alone.

    Raises:
        ValueError: If weights, a CLIP or a revision are asked for.
    """
    if not random_init:
        raise ValueError(
            f"{FULL_SIZE!r} names sizes only; give random_init=True, or the folder or hub id of "
            "weights"
        )
    if clip is not None or revision is not None:
        raise ValueError(
            f"{FULL_SIZE!r} has random weights and reads no files; omit clip= and revision="
        )


def with_fewer_bits(
    parts: dict[str, nn.Module], quantise: str | None, device: torch.device
) -> dict[str, nn.Module]:
    """The components, the language model's weights quantised in place."""
    if quantise is None:
        return parts
    llama = cast(LlamaForCausalLM, parts["llama"])
    return {**parts, "llama": quantise_language_model(llama, quantise, device)}


def assemble(
    parts: Mapping[str, nn.Module],
    tower: ClipTower,
    tokenizer: GlammTokenizer,
    name: str,
    origin: Origin,
    options: GlammOptions | None = None,
) -> Glamm:
    """Put the components together, frozen and in evaluation mode.

    Args:
        parts: As ``new_parts`` gives them.
        tower: CLIP.
        tokenizer: GLaMM's tokenizer.
        name: The name it is loaded by.
        origin: What the weights are.
        options: Open choices inside the model.
    """
    model = Glamm(
        **parts,  # type: ignore[arg-type]  # the table of parts holds plain modules
        tower=tower,
        tokenizer=tokenizer,
        name=name,
        origin=origin,
    )
    model.requires_grad_(False).eval()
    chosen = options or GlammOptions()
    prepare_encoder(model.sam)
    if chosen.sam_dtype == "float32":
        model.sam.float()
    return model._with_options(chosen)


def new_parts(
    config: GlammConfig, attn: str, options: GlammOptions | None = None
) -> dict[str, nn.Module]:
    """Components other than CLIP, on the current default device, with freshly drawn weights.

    Args:
        config: Sizes.
        attn: Attention kernel.
        options: Only the epsilon of the mask decoder is used.

    Raises:
        ValueError: If a size is missing or impossible.
    """
    check_config(config, "the configuration")
    llama, sam = llama_config(config), sam_config(config)
    if options is not None and "mask_decoder_eps" in options.changed():
        decoder = cast(SamMaskDecoderConfig, sam.mask_decoder_config)
        decoder.layer_norm_eps = options.mask_decoder_eps
    width, out = llama.hidden_size, config.get("out_dim", 256)
    visual = config["mm_hidden_size"]
    return {
        "llama": LlamaForCausalLM._from_config(llama, attn_implementation=attn),
        "projector": nn.Sequential(nn.Linear(visual, width), nn.GELU(), nn.Linear(width, width)),
        "seg_head": nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out)),
        # SAM's decomposed relative positions have an eager and an sdpa form only.
        "sam": SamModel._from_config(
            sam, attn_implementation="eager" if attn == "eager" else "sdpa"
        ),
    }


def random_parts(
    config: GlammConfig,
    clip_config: CLIPConfig,
    dtype: torch.dtype,
    device: torch.device,
    attn: str,
    options: GlammOptions | None = None,
) -> tuple[dict[str, nn.Module], CLIPModel]:
    """Components and CLIP with random weights (seed 0), drawn on their device in their type."""
    with random_weights(dtype, device):
        parts = new_parts(config, attn, options)
        clip = CLIPModel._from_config(clip_config, attn_implementation=attn)
    return parts, clip
