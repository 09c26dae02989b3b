"""Training rows of a language model: the texts about an image share one image prefix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM, Phi3ForCausalLM

from litelvlm.arrays import Array
from litelvlm.models.glamm.language.llama import GivenStates, forward_given
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer

IGNORE = -100


class Turns(NamedTuple):
    """One text behind the image: its tokens, and which of them are learned.

    Attributes:
        tokens: Read by the model.
        targets: Next token at each of them, ``IGNORE`` where none is learned; as many.
    """

    tokens: list[int]
    targets: list[int]


def answer_turns(tokenizer: GlammTokenizer, tokens: list[int]) -> Turns:
    """Tokens of a conversation; its answers are learned, their end tokens included."""
    marker = tokenizer.pieces.encode("ASSISTANT:", out_type=int)
    targets, inside = [IGNORE] * len(tokens), False
    for i, token in enumerate(tokens):
        if inside:
            targets[i - 1] = token
            inside = token != tokenizer.eos_id
        elif tokens[i + 1 - len(marker) : i + 1] == marker:
            inside = True
    return Turns(tokens, targets)


@dataclass(frozen=True)
class Packed:
    """Rows of [prefix with image | text | text | ...]; a text sees the prefix and itself.

    Attributes:
        ids: Tokens [B, S]; 0 where the visual tokens go.
        position_ids: Rotary positions [B, S], real numbers.
        attention_mask: Additive [1, 1, S, S].
        labels: Next-token targets at the predicting position [B, S], ``IGNORE`` elsewhere.
        start, end: Indices of the first visual token, and of the one behind the last.
        seg_index: Indices whose state predicts a [SEG], row by row; none where nothing is drawn.
    """

    ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    start: int
    end: int
    seg_index: tuple[tuple[int, ...], ...]


def image_offsets(n_tokens: int, rng: np.random.Generator | None) -> Array:
    """Rotary offsets of the visual tokens for one row: plain half of the time, else irregular.

    Without ``rng`` they are plain, as a model learns them that never saw a pruned image.

    Pruning renumbers the tokens that stay, so place must not be readable from the rotary position
    alone: the other half draws random gaps and an overall stretch between a sixteenth and twice the
    plain length. All tokens are fed.
    """
    if rng is None or rng.random() < 0.5:
        return np.arange(n_tokens, dtype=np.float64)
    gaps = rng.gamma(1.0, size=n_tokens)
    length = n_tokens * 2.0 ** rng.uniform(-4, 1)
    return np.cumsum(gaps / gaps.sum() * length)


def pack(
    before: Sequence[int],
    after: Sequence[int],
    n_tokens: int,
    texts: Sequence[Sequence[Turns]],
    rng: np.random.Generator | None,
    seg_id: int | None = None,
) -> Packed:
    """Build the rows.

    Args:
        before: Tokens of the prefix before the image.
        after: Tokens of the prefix behind it.
        n_tokens: Visual tokens of an image.
        texts: The same number for every image.
        rng: Draws the rotary offsets of the visual tokens; None leaves them plain.
        seg_id: Token whose predicting states are read; None for none.
    """
    width, count = max(len(text.tokens) for row in texts for text in row), len(texts[0])
    start, end = len(before), len(before) + n_tokens
    prefix = end + len(after)
    shape = (len(texts), prefix + count * width)
    ids, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, IGNORE)
    positions = torch.zeros(shape, dtype=torch.float64)
    for b, row in enumerate(texts):
        ids[b, :start] = torch.tensor(before, dtype=torch.long)
        ids[b, end:prefix] = torch.tensor(after, dtype=torch.long)
        offsets = torch.from_numpy(image_offsets(n_tokens, rng))
        behind = start + float(offsets[-1]) + 1
        positions[b, :start] = torch.arange(start)
        positions[b, start:end] = start + offsets
        positions[b, end:prefix] = behind + torch.arange(prefix - end)
        for number, text in enumerate(row):
            at = prefix + number * width
            ids[b, at : at + len(text.tokens)] = torch.tensor(text.tokens)
            labels[b, at : at + len(text.targets)] = torch.tensor(text.targets)
            positions[b, at : at + width] = behind + (prefix - end) + torch.arange(width)
    mask = block_mask(prefix, count, width)
    drawn = torch.zeros_like(labels) if seg_id is None else labels == seg_id
    segs = tuple(tuple(row.nonzero().flatten().tolist()) for row in drawn)
    return Packed(ids, positions.float(), mask, labels, start, end, segs)


def block_mask(prefix: int, n_texts: int, width: int) -> Tensor:
    """Additive mask [1, 1, S, S]: causal, and no text sees another."""
    length = prefix + n_texts * width
    block = torch.cat([torch.full((prefix,), -1), torch.arange(n_texts).repeat_interleave(width)])
    allowed = (block[None] == -1) | (block[None] == block[:, None])
    allowed &= torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.zeros(length, length).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return mask[None, None]


def forward_packed(llama: LlamaForCausalLM, packed: Packed, visual: Tensor) -> GivenStates:
    """States of the rows after the final norm, and those that predict a [SEG].

    Args:
        llama: The language model.
        packed: The rows.
        visual: Projected visual tokens [B, N, d].
    """
    device = visual.device
    embeds = llama.model.embed_tokens(packed.ids.to(device))
    parts = [embeds[:, : packed.start], visual.to(embeds.dtype), embeds[:, packed.end :]]
    embeds = torch.cat(parts, dim=1)
    # Under autocast the attention kernel wants its mask in the number type of the queries.
    low = torch.bfloat16 if torch.is_autocast_enabled(device.type) else embeds.dtype
    mask = packed.attention_mask.to(device, low)
    positions = packed.position_ids.to(device)
    return forward_given(llama, embeds, positions, packed.seg_index, mask)


def next_token_loss(
    llama: LlamaForCausalLM | Phi3ForCausalLM, hidden_states: Tensor, labels: Tensor
) -> Tensor:
    """Cross-entropy of the next tokens where there is one to learn.

    Args:
        llama: Whose head is used.
        hidden_states: Of ``forward_packed`` [B, S, d].
        labels: Of the rows [B, S].
    """
    at = labels != IGNORE
    return F.cross_entropy(llama.lm_head(hidden_states[at]).float(), labels[at])
