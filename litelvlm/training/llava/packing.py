"""Training batches: the questions of a scene share one image prefix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from litelvlm.data.understanding.scenes import QUESTION_KINDS, SHORT_ANSWER, SceneQuestion
from litelvlm.training.glamm.packing import IGNORE, block_mask, image_offsets
from litelvlm.training.llava.tokenizer import IMAGE_TOKEN, image_id

PROMPT = "USER: <image>\n{} ASSISTANT:"
"""LLaVA-1.5's prompt; ``{}`` is the question."""


@dataclass(frozen=True)
class PackedQuestions:
    """Rows of [prefix with image | question and answer | question and answer | ...].

    Attributes:
        ids: Tokens [B, S]; placeholders where the visual tokens go.
        position_ids: Rotary positions [B, S], real numbers.
        attention_mask: Additive [1, 1, S, S]; no question sees another.
        labels: Next-token targets at the predicting position [B, S], ``IGNORE`` elsewhere; answers
            only.
        first: Index at which each answer's first token is predicted [B, Q].
        kind: Kind of each question, as a place in ``QUESTION_KINDS`` [B, Q].
        start: Index of the first visual token.
    """

    ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    first: Tensor
    kind: Tensor
    start: int


def pack_questions(
    tokenizer: PreTrainedTokenizerFast,
    n_tokens: int,
    questions: Sequence[Sequence[SceneQuestion]],
    rng: np.random.Generator,
    short_answer: bool,
) -> PackedQuestions:
    """Build the rows.

    Args:
        tokenizer: Of the miniature LLaVA.
        n_tokens: Visual tokens of an image.
        questions: The same number for every scene.
        rng: Draws the rotary offsets of the visual tokens.
        short_answer: Ask for a single word or phrase, as LLaVA-1.5 is asked.
    """
    before, after = PROMPT.split(IMAGE_TOKEN)
    head = tokenizer(before)["input_ids"]
    suffix = f"\n{SHORT_ANSWER}" if short_answer else ""
    pairs = [
        [
            (_ids(tokenizer, after.format(q.text + suffix)), [*_ids(tokenizer, q.answer), 2])
            for q in row
        ]
        for row in questions
    ]
    width = max(len(asked) + len(answer) for row in pairs for asked, answer in row) - 1
    start, prefix, n = len(head), len(head) + n_tokens, len(pairs[0])
    length = prefix + n * width
    ids = torch.zeros(len(pairs), length, dtype=torch.long)
    labels = torch.full((len(pairs), length), IGNORE)
    positions = torch.zeros(len(pairs), length, dtype=torch.float64)
    first = torch.zeros(len(pairs), n, dtype=torch.long)
    for b, row in enumerate(pairs):
        offsets = torch.from_numpy(image_offsets(n_tokens, rng))
        behind = start + float(offsets[-1]) + 1
        ids[b, :start] = torch.tensor(head)
        ids[b, start:prefix] = image_id(tokenizer)
        positions[b, :start] = torch.arange(start)
        positions[b, start:prefix] = start + offsets
        for q, (asked, answer) in enumerate(row):
            at, both = prefix + q * width, [*asked, *answer[:-1]]
            ids[b, at : at + len(both)] = torch.tensor(both)
            positions[b, at : at + width] = behind + torch.arange(width)
            first[b, q] = at + len(asked) - 1
            labels[b, first[b, q] : first[b, q] + len(answer)] = torch.tensor(answer)
    kinds = [[QUESTION_KINDS.index(q.kind) for q in row] for row in questions]
    return PackedQuestions(
        ids,
        positions.float(),
        block_mask(prefix, n, width),
        labels,
        first,
        torch.tensor(kinds),
        start,
    )


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
