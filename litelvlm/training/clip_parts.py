"""Small CLIPs before training, and tokenizers whose words are tokens."""

from collections.abc import Mapping, Sequence

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    PreTrainedTokenizerFast,
)

TEXT_LENGTH = 77
"""Most tokens of a text, as in CLIP."""


def small_clip_config(
    vision: Mapping[str, int | str], text: Mapping[str, int | str], vocab_size: int, width: int
) -> CLIPConfig:
    """Both towers; the last two entries of the vocabulary are [SOS] and [EOS].

    Args:
        vision: Sizes of the image tower under the library's names.
        text: Sizes of the text tower.
        vocab_size: Entries.
        width: Of the joint space.
    """
    ends = {"bos_token_id": vocab_size - 2, "eos_token_id": vocab_size - 1}
    ends |= {"pad_token_id": vocab_size - 1, "max_position_embeddings": TEXT_LENGTH}
    texts = {**text, **ends, "vocab_size": vocab_size, "projection_dim": width}
    return CLIPConfig(
        vision_config=CLIPVisionConfig.from_dict({**vision, "projection_dim": width}).to_dict(),
        text_config=CLIPTextConfig.from_dict(texts).to_dict(),
        projection_dim=width,
    )


def new_clip(config: CLIPConfig) -> CLIPModel:
    """Untrained towers whose image positions start as two-dimensional sines and can be learned."""
    clip: CLIPModel = CLIPModel._from_config(config, attn_implementation="eager")
    embeddings = clip.vision_model.embeddings
    places, patch = embeddings.position_embedding.weight, embeddings.patch_embedding.weight
    with torch.no_grad():
        places[1:] = 0.5 * sines(round((len(places) - 1) ** 0.5), places.shape[1])
        nn.init.normal_(patch, std=float(patch[0].numel()) ** -0.5)
    return clip


def sines(side: int, width: int) -> torch.Tensor:
    """Two-dimensional sine and cosine positions [side * side, width] in [-1, 1], rows first."""
    quarter = width // 4
    rate = 1.0 / 100.0 ** (torch.arange(quarter) / quarter)
    angle = torch.arange(side)[:, None] * rate
    line = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows = line[:, None].expand(side, side, -1)
    columns = line[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=-1).reshape(side * side, width)


def word_tokenizer(
    entries: Sequence[str], frame: str, unknown: str, **special: object
) -> PreTrainedTokenizerFast:
    """A tokenizer of lower-case words and marks; each of them is one token.

    Args:
        entries: Words, marks and special tokens; an entry's place is its id.
        frame: What stands around a text, such as "<s> $A".
        unknown: The entry of every other word.
        special: Further arguments of the library's tokenizer.
    """
    table = {word: place for place, word in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    around = [(part, table[part]) for part in frame.split() if part in table]
    tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=around)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=unknown, **special)
