"""From a name to a UniPixel: a checkpoint folder, a hub id, or its sizes with random weights."""

from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import (
    PreTrainedTokenizerBase,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
)
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from litelvlm.models.files import check_kernel, digest, find_files, random_weights
from litelvlm.models.sam2.sizes import new_sam2
from litelvlm.models.unipixel.config import UniPixelConfig, read_config
from litelvlm.models.unipixel.model import UniPixel
from litelvlm.models.unipixel.names import names
from litelvlm.models.unipixel.options import UniPixelOptions
from litelvlm.models.unipixel.prompts import END, SEG, VIDEO_PAD
from litelvlm.models.weights import load_into
from litelvlm.number_types import number_type

PREFIX = "unipixel:"
_EPS = 1e-6


def load_unipixel(
    name: str | Path,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    attn: str = "sdpa",
    random_init: bool = False,
    options: UniPixelOptions | None = None,
    revision: str | None = None,
) -> UniPixel:
    """Load a UniPixel ready to segment (see ``litelvlm.load_model``).

    Args:
        name: A folder in the published layout, or a hub id; "unipixel:" before it is allowed.
        dtype: Number type; None takes bfloat16, as the official code does.
        device: None takes the first GPU, else the CPU.
        attn: Attention kernel.
        random_init: Draw the weights at random (seed 0) in the folder's sizes.
        options: Open choices inside the model.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ValueError: If the checkpoint does not fit, its tokenizer and its configuration name
            different tokens, or an argument is unknown.
        FileNotFoundError: If a file is missing.
    """
    check_kernel(attn)
    plain, chosen = str(name).removeprefix(PREFIX), options or UniPixelOptions()
    kind = number_type(dtype, "bfloat16")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    choices = ["a checkpoint folder", "a hub id 'owner/name'"]
    folder, commit = find_files(plain, choices, revision, prefix=PREFIX)
    config = read_config(folder)
    tokenizer = read_tokenizer(folder, config)
    called = f"{plain}@{commit[:12]}" if commit else plain
    if random_init:
        with random_weights(kind, place):
            parts = new_parts(config, attn)
        called, content = f"{called} (random weights)", "random"
    else:
        with torch.device("meta"):
            parts = new_parts(config, attn)
        load_into(names(config.tied), parts, folder, kind, place)
        content = digest(folder)
    for part in parts.values():
        part.eval().requires_grad_(False)
    return UniPixel(
        **parts,  # type: ignore[arg-type]  # the table of parts holds plain modules
        tokenizer=tokenizer,
        seg_token_id=config.seg_token_id,
        video_token_id=config.video_token_id,
        end_token_id=token_id(tokenizer, END),
        options=chosen,
        name=f"{called}{chosen}",
        digest=content,
    )


def new_parts(config: UniPixelConfig, attn: str) -> dict[str, nn.Module]:
    """Components on the current default device, with freshly drawn weights."""
    width = int(config.qwen.text_config.hidden_size)
    return {
        "qwen": Qwen2_5_VLForConditionalGeneration._from_config(
            config.qwen, attn_implementation=attn
        ),
        "seg_head": nn.Sequential(
            Qwen2RMSNorm(width, eps=_EPS),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, config.sam2.width * config.prompt_tokens),
        ),
        "sam2": new_sam2(config.sam2, "eager" if attn == "eager" else "sdpa"),
    }


def read_tokenizer(folder: Path, config: UniPixelConfig) -> PreTrainedTokenizerBase:
    """Read a checkpoint's tokenizer.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or its tokens are not those of the configuration.
    """
    try:
        tokenizer = cast(PreTrainedTokenizerBase, Qwen2Tokenizer.from_pretrained(folder))
    except OSError as error:
        raise FileNotFoundError(f"{folder} does not contain a tokenizer: {error}") from error
    named = {SEG: config.seg_token_id, VIDEO_PAD: config.video_token_id}
    for token, expected in named.items():
        found = token_id(tokenizer, token)
        if found != expected:
            raise ValueError(
                f"the tokenizer of {folder} gives {token} the id {found}, its config.json "
                f"{expected}; fetch both again"
            )
    largest, known = max(tokenizer.get_vocab().values()), config.qwen.text_config.vocab_size
    if largest >= known:
        raise ValueError(
            f"the tokenizer of {folder} has ids up to {largest}, its config.json a vocabulary of "
            f"{known}; fetch both again"
        )
    return tokenizer


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of one token.

    Raises:
        ValueError: If the tokenizer reads it as several pieces or does not know it.
    """
    ids = tokenizer(token, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise ValueError(
            f"the tokenizer reads {token} as {len(ids)} tokens; give the one that belongs to the "
            "model"
        )
    return int(ids[0])
