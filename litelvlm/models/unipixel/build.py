"""From a name to a UniPixel: a checkpoint folder, a hub id, or its sizes with random weights."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
)
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from litelvlm.models.files import (
    check_kernel,
    digest,
    find_files,
    random_weights,
    usual_number_type,
)
from litelvlm.models.sam2.sizes import new_sam2
from litelvlm.models.unipixel.config import (
    PUBLISHED_SIZES,
    UniPixelConfig,
    parsed,
    published_fields,
    read_config,
)
from litelvlm.models.unipixel.model import UniPixel
from litelvlm.models.unipixel.names import names
from litelvlm.models.unipixel.options import UniPixelOptions
from litelvlm.models.unipixel.prompts import END, SEG, VIDEO_PAD
from litelvlm.models.weights import load_into
from litelvlm.number_types import number_type

PREFIX = "unipixel:"
FULL_SIZES: Mapping[str, str] = MappingProxyType(
    {f"{PREFIX}{size}": size for size in PUBLISHED_SIZES}
)
"""Names of the published sizes, for random weights, by the size that each names."""
_EPS = 1e-6
_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", END, "<|vision_start|>", "<|vision_end|>"),
    *(VIDEO_PAD, SEG),
)


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
        name: A folder in the published layout, or a hub id; "unipixel:" before it is allowed. Or
            "unipixel:3b" or "unipixel:7b" together with ``random_init``.
        dtype: Number type; None takes bfloat16, as the official code does, and float32 for a
            miniature.
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
    called, chosen = str(name), options or UniPixelOptions()
    number_type(dtype)  # a wrong one is refused before anything is fetched
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if called in FULL_SIZES:
        if not random_init or revision is not None:
            raise ValueError(
                f"{called!r} names sizes only; give random_init=True and no revision, or the "
                "folder or hub id of weights"
            )
        tokenizer: PreTrainedTokenizerBase = byte_tokenizer()
        config = full_config(FULL_SIZES[called])
    else:
        plain = called.removeprefix(PREFIX)
        choices = [*FULL_SIZES, "a checkpoint folder", "a hub id 'owner/name'"]
        folder, commit = find_files(plain, choices, revision, prefix=PREFIX)
        config = read_config(folder)
        tokenizer = read_tokenizer(folder, config)
        called = f"{plain}@{commit[:12]}" if commit else plain
    kind = number_type(dtype, usual_number_type(config.width))
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
    width = int(config.qwen.get_text_config().hidden_size)
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


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes and the tokens of the chat, for random weights.

    A text has several times the tokens that the published tokenizer makes of it.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({sign: place for place, sign in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in _TOKENS]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made)


def full_config(size: str) -> UniPixelConfig:
    """The published sizes with the tokens of ``byte_tokenizer``."""
    first = len(pre_tokenizers.ByteLevel.alphabet())
    own = {
        "seg_token_id": first + _TOKENS.index(SEG),
        "video_token_id": first + _TOKENS.index(VIDEO_PAD),
    }
    return parsed(published_fields(size) | own, f"{PREFIX}{size}")


def read_tokenizer(folder: Path, config: UniPixelConfig) -> PreTrainedTokenizerBase:
    """Read a checkpoint's tokenizer.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, or its tokens are not those of the configuration.
    """
    files = ("tokenizer.json", "vocab.json")
    if not any((folder / name).is_file() for name in files):
        raise FileNotFoundError(f"{folder} has no tokenizer; looked for {' and '.join(files)}")
    try:
        tokenizer = cast(PreTrainedTokenizerBase, Qwen2Tokenizer.from_pretrained(folder))
    except Exception as error:  # the library under it raises nothing more exact
        raise ValueError(
            f"the tokenizer of {folder} is damaged ({error}); fetch it again"
        ) from error
    named = {SEG: config.seg_token_id, VIDEO_PAD: config.video_token_id}
    for token, expected in named.items():
        found = token_id(tokenizer, token)
        if found != expected:
            raise ValueError(
                f"the tokenizer of {folder} gives {token} the id {found}, its config.json "
                f"{expected}; fetch both again"
            )
    largest, known = max(tokenizer.get_vocab().values()), config.qwen.get_text_config().vocab_size
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
