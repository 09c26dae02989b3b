"""From a folder to a VideoGLaMM, with its published or with random weights."""

from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel, Phi3ForCausalLM

from litelvlm.clip.hf import ClipTower, read_tokenizer
from litelvlm.models.clip_files import check_clip_config, check_clip_width, clip_source, read_clip
from litelvlm.models.files import (
    EMBEDDED,
    check_kernel,
    digest,
    find_files,
    random_weights,
    usual_number_type,
)
from litelvlm.models.sam2.sizes import new_sam2
from litelvlm.models.video_glamm.config import VideoGlammConfig, read_config
from litelvlm.models.video_glamm.internvideo import InternVideo
from litelvlm.models.video_glamm.model import VideoGlamm
from litelvlm.models.video_glamm.options import VideoGlammOptions
from litelvlm.models.video_glamm.tokenizer import Phi3Tokenizer
from litelvlm.models.video_glamm.weight_names import name_table
from litelvlm.models.weights import load_into
from litelvlm.number_types import number_type

PREFIX = "video_glamm:"
"""May begin the name of such a model; a folder tells its family without it."""


def load_video_glamm(
    name: str | Path,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn: str = "sdpa",
    random_init: bool = False,
    options: VideoGlammOptions | None = None,
    clip: str | Path | None = None,
    revision: str | None = None,
) -> VideoGlamm:
    """Load a VideoGLaMM; arguments as for ``litelvlm.models.families.load_model``.

    Args:
        name: "embedded-video", a folder in the published layout, or a hub id, behind ``PREFIX`` or
            without it.
        dtype: As there.
        device: As there.
        attn: "sdpa", or "eager" as the official code.
        random_init: As there; sizes, tokenizer and CLIP's sizes are the folder's.
        options: Open choices inside the model.
        clip: As there.
        revision: As there.

    Raises:
        ValueError: As there, or if the kernel counts a window in another way.
        FileNotFoundError: As there.
    """
    check_kernel(attn)
    if attn == "flash_attention_2":
        raise ValueError(
            "attention kernel 'flash_attention_2' was not compared with the published window of "
            "attention; use 'sdpa'"
        )
    plain, chosen = str(name).removeprefix(PREFIX), options or VideoGlammOptions()
    number_type(dtype)  # a wrong one is refused before anything is fetched
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    choices = ["embedded-video", "a folder in VideoGLaMM's layout", "a hub id 'owner/name'"]
    source = EMBEDDED.get(plain, plain)
    folder, commit = find_files(source, choices, revision, prefix=PREFIX)
    called = f"{name}@{commit[:12]}" if commit else str(name)
    config = read_config(folder)
    kind = number_type(dtype, usual_number_type(config.language["hidden_size"]))
    tokenizer = Phi3Tokenizer.from_pretrained(folder, config.marked)
    check_vocabulary(folder, tokenizer, config)
    clip_folder = clip_source(folder, config.clip, clip).folder
    check_clip_config(clip_folder)
    if random_init:
        with random_weights(kind, place):
            parts = new_parts(config, attn, chosen)
            drawn = CLIPModel._from_config(
                CLIPConfig.from_pretrained(clip_folder), attn_implementation=attn
            )
        called, content = f"{called} (random weights)", "random"
    else:
        with torch.device("meta"):
            parts = new_parts(config, attn, chosen)
        load_into(name_table(config.video.num_hidden_layers), parts, folder, kind, place)
        drawn, content = read_clip(clip_folder, kind, attn), digest(folder, clip_folder)
    tower = ClipTower(drawn, read_tokenizer(clip_folder))
    check_clip_width(tower, clip_folder, "image_mm_hidden_size", config.image_width)
    cast(Phi3ForCausalLM, parts["phi3"]).resize_token_embeddings(tokenizer.size)
    model = VideoGlamm(
        **parts,  # type: ignore[arg-type]  # the table of parts holds plain modules
        tower=tower,
        tokenizer=tokenizer,
        config=config,
        name=called,
        digest=content,
        options=chosen,
    )
    return model.requires_grad_(False).eval().to(place)


def check_vocabulary(folder: Path, tokenizer: Phi3Tokenizer, config: VideoGlammConfig) -> None:
    """Refuse a tokenizer whose last token, [SEG], has no row in the weights.

    Rows behind it are dropped when the model is built, as in the official code.

    Raises:
        ValueError: If it has more tokens than the configuration.
    """
    rows = cast(int, config.language["vocab_size"])
    if tokenizer.size > rows:
        raise ValueError(
            f"the tokenizer of {folder} has {tokenizer.size} tokens with [SEG], its config.json "
            f"{rows}; fetch both again"
        )


def new_parts(
    config: VideoGlammConfig, attn: str, options: VideoGlammOptions
) -> dict[str, nn.Module]:
    """Components other than CLIP, on the current default device, with freshly drawn weights."""
    language = config.phi3(options.window)
    width = language.hidden_size
    video, image = config.projectors
    return {
        "phi3": Phi3ForCausalLM._from_config(language, attn_implementation=attn),
        "video_tower": InternVideo(config.video),
        "video_projector": projector(video, config.video.hidden_size, width),
        "image_projector": projector(image, config.image_width, width),
        "seg_head": nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, config.sam2.width)
        ),
        "sam2": new_sam2(config.sam2, attn),
    }


def projector(kind: str, width: int, out: int) -> nn.Module:
    """A projector of one of the kinds in ``config.PROJECTORS``."""
    if kind == "linear":
        return nn.Linear(width, out)
    return nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))
