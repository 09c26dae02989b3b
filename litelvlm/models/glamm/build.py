"""From a name to a model: the shipped miniature, a checkpoint, or random weights at full size."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import CLIPConfig, CLIPModel, LlamaForCausalLM, SamMaskDecoderConfig, SamModel

from litelvlm.clip.hf import ClipTower, read_tokenizer
from litelvlm.data.safe.archives import check_archives
from litelvlm.finite import require_finite_weights
from litelvlm.models.checkpoints.filling import load_into
from litelvlm.models.files import check_kernel, digest
from litelvlm.models.glamm.checkpoints.config import (
    GlammConfig,
    check_clip_config,
    check_config,
    full_clip_config,
    full_config,
    llama_config,
    read_config,
    sam_config,
)
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.glamm.checkpoints.source import (
    EMBEDDED,
    clip_source,
    locate,
    usual_number_type,
)
from litelvlm.models.glamm.masks.sam_attention import prepare_encoder
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.options import GlammOptions
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer
from litelvlm.models.glamm.quantise import check_quantise, quantise_language_model, suffix
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
    """Load a GLaMM ready to segment.

    Weights are read tensor by tensor into place, so memory never holds two copies of them.

    Args:
        name: "embedded" or "embedded-shapes" (the shipped miniatures), a folder in the
            published layout, a hub id, or "glamm-7b" together with ``random_init``.
        dtype: "float32", "bfloat16" or "float16"; None takes float32 for the miniature and bfloat16
            otherwise.
        device: None takes the first GPU, else the CPU.
        attn: Attention kernel of the language model and the towers: "sdpa", "eager" or
            "flash_attention_2".
        random_init: Build a model of the named sizes with random weights (seed 0; the global
            generators do not change). Such a model measures cost, never accuracy, and its name says
            "random weights".
        options: Open choices inside the model; the official code's by default.
        clip: Folder or hub id of CLIP, which is no part of the published checkpoint. None takes
            the CLIP that the checkpoint's ``config.json`` names, from its own folder or a local
            copy; nothing is fetched then.
        revision: Branch, tag or commit of a hub id; the commit becomes part of the model's name.
        quantise: Fewer bits for the language model's weights: "int8", "nf4", "nf4_double" or "fp4";
            the way becomes part of the model's name. None keeps every bit.

    Raises:
        ValueError: If the name, number type, kernel or way to quantise is unknown, the kernel or
            what quantises is not installed, the checkpoint does not fit, or ``clip`` or
            ``revision`` is given for "glamm-7b".
        FileNotFoundError: If a file is missing, or CLIP is not on this machine.
    """
    check_kernel(attn)
    check_quantise(quantise)
    kind = number_type(dtype, usual_number_type(name))
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
        clip_folder = clip_source(folder, config, clip).folder
        check_clip_config(clip_folder)
    tokenizer = GlammTokenizer.from_pretrained(folder)
    called += suffix(quantise)
    if random_init:
        full = name == FULL_SIZE
        clip_config = full_clip_config() if full else CLIPConfig.from_pretrained(clip_folder)
        parts, drawn = random_parts(config, clip_config, kind, place, attn, chosen)
        parts = with_fewer_bits(parts, quantise, place)
        tower = ClipTower(drawn, read_tokenizer(clip_folder))
        return assemble(parts, tower, tokenizer, f"{called} (random weights)", "random", chosen)
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
    width = int(tower.vision_config.hidden_size)
    if width != config["mm_hidden_size"]:
        raise ValueError(
            f"the CLIP in {clip_folder} has width {width}, the checkpoint expects mm_hidden_size "
            f"{config['mm_hidden_size']}; name the right one (clip= in Python, --clip on the "
            "command line)"
        )
    return assemble(parts, tower, tokenizer, called, digest(folder, clip_folder), chosen).to(place)


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
    content: str,
    options: GlammOptions | None = None,
) -> Glamm:
    """Put the components together, frozen and in evaluation mode.

    Args:
        parts: As ``new_parts`` gives them.
        tower: CLIP.
        tokenizer: GLaMM's tokenizer.
        name: The name it is loaded by.
        content: Digest of its files; "random" for random weights.
        options: Open choices inside the model.
    """
    model = Glamm(
        **parts,  # type: ignore[arg-type]  # the table of parts holds plain modules
        tower=tower,
        tokenizer=tokenizer,
        name=name,
        digest=content,
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
    with _seeded(device), _default_dtype(dtype), device:
        parts = new_parts(config, attn, options)
        clip = CLIPModel._from_config(clip_config, attn_implementation=attn)
    return parts, clip


def read_clip(folder: Path, dtype: torch.dtype, attn: str) -> CLIPModel:
    """Read a Hugging Face CLIP, from safetensors or a tensor-only .bin.

    Raises:
        ValueError: If a file is damaged or does not fit its ``config.json``, or a weight is
            missing, unknown, NaN or infinite. The library itself would draw a missing weight at
            random and ignore an unknown one.
        FileNotFoundError: If there are no weights.
    """
    check_archives(folder)
    try:
        clip, report = cast(
            tuple[CLIPModel, dict[str, list[str]]],
            CLIPModel.from_pretrained(
                folder,
                dtype=dtype,
                attn_implementation=attn,
                weights_only=True,
                local_files_only=True,
                output_loading_info=True,
            ),
        )
    except OSError as error:
        raise FileNotFoundError(f"{folder} does not contain CLIP's weights: {error}") from error
    except (SafetensorError, RuntimeError, UnpicklingError, EOFError) as error:
        raise ValueError(
            f"the CLIP in {folder} is truncated, damaged, or does not fit its config.json "
            f"({error}); fetch it again"
        ) from error
    absent = sorted(report["missing_keys"])
    if absent:
        raise ValueError(
            f"the CLIP in {folder} lacks {len(absent)} weights, first {absent[0]}; fetch it again"
        )
    # Files of older libraries also store the numbers 0, 1, 2 ... of the positions.
    unknown = sorted(
        name for name in report["unexpected_keys"] if not name.endswith(".position_ids")
    )
    if unknown:
        raise ValueError(
            f"the CLIP in {folder} has {len(unknown)} weights without a place in its config.json, "
            f"first {unknown[0]}; fetch both again"
        )
    return require_finite_weights(clip, f"the CLIP in {folder}")


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Seed 0 inside, the global generators as before outside."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        yield


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
