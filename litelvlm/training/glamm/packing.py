"""Conversations of the miniature GLaMM as training rows."""

from collections.abc import Sequence

import numpy as np

from litelvlm.models.base import Conversation
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.models.glamm.prompting.tokenizer import IMAGE_INDEX, GlammTokenizer
from litelvlm.training.packing import IGNORE, Packed, Turns, pack


def pack_conversations(
    tokenizer: GlammTokenizer,
    n_tokens: int,
    conversations: Sequence[Sequence[Conversation]],
    rng: np.random.Generator,
) -> Packed:
    """Build the rows; answers are learned.

    Args:
        tokenizer: Of the model.
        n_tokens: Visual tokens of an image.
        conversations: Per scene the same number of conversations, each starting from the image;
            [SEG] counts must agree between scenes.
        rng: Draws the rotary offsets.
    """
    ids = [[tokenizer.encode(full_prompt(entry)) for entry in row] for row in conversations]
    first = ids[0][0]
    # The first question starts after the newline that ends the image sentence.
    head = first.index(tokenizer.pieces.piece_to_id("<0x0A>")) + 1
    start = first.index(IMAGE_INDEX)
    texts = [[_turns(tokenizer, full[head:]) for full in row] for row in ids]
    before, after = first[:start], first[start + 1 : head]
    return pack(before, after, n_tokens, texts, rng, tokenizer.seg_id)


def _turns(tokenizer: GlammTokenizer, tokens: list[int]) -> Turns:
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
