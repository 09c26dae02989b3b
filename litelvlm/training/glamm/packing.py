"""Training batches of the language stages: expressions of a scene share one image prefix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.models.base import Conversation
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer

IGNORE = -100


@dataclass(frozen=True)
class Packed:  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
    """Rows of [prefix with image | suffix | suffix | ...]; a suffix sees the prefix and itself.

    Attributes:
        embeds: Input embeddings [B, S, d].
        position_ids: Rotary positions [B, S], real numbers.
        attention_mask: Additive [B, 1, S, S].
        labels: Next-token targets at the predicting position [B, S], ``IGNORE`` elsewhere; answers
            only.
        image: Slice of the visual tokens, the same in every row.
        seg_index: Indices whose state predicts a [SEG] [B, T].
    """

    embeds: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    image: slice  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
    seg_index: Tensor


def image_offsets(n_tokens: int, rng: np.random.Generator) -> Array:
    """Rotary offsets of the visual tokens for one row: plain half of the time, else irregular.

    Pruning renumbers the tokens that stay, so place must not be readable from the rotary position
    alone: the other half draws random gaps and an overall stretch between a sixteenth and twice the
    plain length. All tokens are fed.
    """
    if rng.random() < 0.5:
        return np.arange(n_tokens, dtype=np.float64)
    gaps = rng.gamma(1.0, size=n_tokens)
    length = n_tokens * 2.0 ** rng.uniform(-4, 1)
    return np.cumsum(gaps / gaps.sum() * length)


def pack(
    model: Glamm,
    visual: Tensor,
    conversations: Sequence[Sequence[Conversation]],
    rng: np.random.Generator,
) -> Packed:
    """Build the rows.

    Args:
        model: Gives the tokenizer and the embeddings.
        visual: Projected visual tokens [B, N, d].
        conversations: Per scene the same number of conversations, each starting from the image;
            [SEG] counts must agree between scenes.
        rng: Draws the rotary offsets.
    """
    tokenizer, n = model.tokenizer, visual.shape[1]
    ids = [[tokenizer.encode(full_prompt(entry)) for entry in row] for row in conversations]
    # The first question starts after the newline that ends the image sentence.
    newline = tokenizer.pieces.piece_to_id("<0x0A>")
    head = ids[0][0].index(newline) + 1
    start = ids[0][0].index(IMAGE_INDEX)
    width = max(len(i) for row in ids for i in row) - head
    n_suffix, prefix = len(ids[0]), head - 1 + n
    length = prefix + n_suffix * width
    text = torch.zeros(len(ids), length, dtype=torch.long)
    labels = torch.full((len(ids), length), IGNORE)
    positions = torch.zeros(len(ids), length, dtype=torch.float64)
    segs: list[list[int]] = []
    for b, row in enumerate(ids):
        text[b, :start] = torch.tensor(row[0][:start])
        text[b, start + n : prefix] = torch.tensor(row[0][start + 1 : head])
        offsets = torch.from_numpy(image_offsets(n, rng))
        after = start + float(offsets[-1]) + 1
        positions[b, :start] = torch.arange(start)
        positions[b, start : start + n] = start + offsets
        positions[b, start + n : prefix] = after + torch.arange(prefix - start - n)
        segs.append([])
        for e, full in enumerate(row):
            at, suffix = prefix + e * width, full[head:]
            text[b, at : at + len(suffix)] = torch.tensor(suffix)
            positions[b, at : at + width] = after + (prefix - start - n) + torch.arange(width)
            for i in _answer_positions(tokenizer, suffix):
                labels[b, at + i - 1] = suffix[i]
                if suffix[i] == tokenizer.seg_id:
                    segs[-1].append(at + i - 1)
    embeds = model.llama.model.embed_tokens(text.to(visual.device))
    embeds = torch.cat([embeds[:, :start], visual.to(embeds.dtype), embeds[:, start + n :]], dim=1)
    mask = block_mask(prefix, n_suffix, width).to(visual.device)
    return Packed(
        embeds,
        positions.float().to(visual.device),
        mask,
        labels.to(visual.device),
        slice(start, start + n),
        torch.tensor(segs, device=visual.device),
    )


def block_mask(prefix: int, n_suffix: int, width: int) -> Tensor:
    """Additive mask [1, 1, S, S]: causal, and no suffix sees another."""
    length = prefix + n_suffix * width
    block = torch.cat([torch.full((prefix,), -1), torch.arange(n_suffix).repeat_interleave(width)])
    allowed = (block[None] == -1) | (block[None] == block[:, None])
    allowed &= torch.ones(length, length, dtype=torch.bool).tril()
    return torch.zeros(length, length).masked_fill(~allowed, torch.finfo(torch.float32).min)[
        None, None
    ]


def _answer_positions(tokenizer: GlammTokenizer, suffix: Sequence[int]) -> list[int]:
    """Indices in ``suffix`` that belong to an answer, its end token included."""
    marker = tokenizer.pieces.encode("ASSISTANT:", out_type=int)
    inside, found = False, []
    for i, token in enumerate(suffix):
        if inside:
            found.append(i)
            inside = token != tokenizer.eos_id
        elif list(suffix[i + 1 - len(marker) : i + 1]) == marker:
            inside = True
    return found
