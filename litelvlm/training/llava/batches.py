"""Training batches of the miniature LLaVA: questions about scenes, and CLIP's states of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from litelvlm.arrays import Array
from litelvlm.clip.hf import ClipTower
from litelvlm.data.understanding.scenes import (
    SHORT_ANSWER,
    SceneQuestion,
    draw_questions,
    things_in,
)
from litelvlm.data.worlds.canvas import pick
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import LEVELS
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES
from litelvlm.training.llava.sizes import IMAGE_TOKEN
from litelvlm.training.packing import IGNORE, Packed, Turns, pack
from litelvlm.training.pool import FIRST_SEED, ScenePool
from litelvlm.training.worlds.pictograms import LEVELS_IN_TURN

PROMPT = "USER: <image>\n{} ASSISTANT:"
"""LLaVA-1.5's prompt; ``{}`` is the question."""
_SHORT = 0.5  # share of steps that ask for a single word or phrase
MOSTLY = 0.5  # share of a patch that an object must cover to give it a label
_PLACES = {name: place for place, name in enumerate(CATEGORIES)}


class QuestionBatch(NamedTuple):
    """One step's input.

    Attributes:
        states: CLIP's patch states [B, N, d].
        packed: Rows of questions and answers.
        labels: Place of the category that a patch shows, ``IGNORE`` for none [B, N].
    """

    states: Tensor
    packed: Packed
    labels: Tensor


def pack_questions(
    tokenizer: PreTrainedTokenizerFast,
    n_tokens: int,
    questions: Sequence[Sequence[SceneQuestion]],
    rng: np.random.Generator,
    short_answer: bool,
) -> Packed:
    """Build the rows; answers are learned.

    Args:
        tokenizer: Of the miniature LLaVA.
        n_tokens: Visual tokens of an image.
        questions: The same number for every scene.
        rng: Draws the rotary offsets of the visual tokens.
        short_answer: Ask for a single word or phrase, as LLaVA-1.5 is asked.
    """
    suffix = f"\n{SHORT_ANSWER}" if short_answer else ""
    asked = [[(one.text + suffix, one.answer) for one in row] for row in questions]
    return pack_turns(tokenizer, n_tokens, asked, rng)


def pack_turns(
    tokenizer: PreTrainedTokenizerFast,
    n_tokens: int,
    asked: Sequence[Sequence[tuple[str, str]]],
    rng: np.random.Generator | None,
    prompt: str = PROMPT,
) -> Packed:
    """Build the rows of questions and their answers.

    Args:
        tokenizer: Of the miniature LLaVA.
        n_tokens: Visual tokens of an image.
        asked: Questions and answers, the same number for every scene.
        rng: Draws the rotary offsets of the visual tokens; None leaves them plain.
        prompt: What stands around a question, ``{}``; all share what stands before it.
    """
    before, after = prompt.split(IMAGE_TOKEN)
    shared, behind = after.split("{}")

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def turns(question: str, answer: str) -> Turns:
        read, learned = ids(question + behind), ids(answer)
        silent = [IGNORE] * (len(read) - 1)
        return Turns([*read, *learned], [*silent, *learned, tokenizer.eos_token_id])

    texts = [[turns(*one) for one in row] for row in asked]
    return pack(tokenizer(before)["input_ids"], ids(shared), n_tokens, texts, rng)


def ground_of(seed: int) -> str:
    """Name of the ground of a training scene: the generator's second draw, after the canvas."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pick(rng, LEVELS[LEVELS_IN_TURN[seed % len(LEVELS_IN_TURN)]].aspects)
    return pick(rng, PLACE_NAMES)


class QuestionScenes:
    """Training batches: questions of some scenes and the patch states of their images.

    Args:
        pool: The scenes.
        tower: CLIP, which reads their images.
        tokenizer: The words.
        size: Scenes of a batch.
        n_questions: Questions about a scene.
        seed: Order of the scenes and of every choice.
    """

    def __init__(
        self,
        pool: ScenePool,
        tower: ClipTower,
        tokenizer: PreTrainedTokenizerFast,
        size: int,
        n_questions: int,
        seed: int,
    ) -> None:
        self.pool, self.tower, self.tokenizer = pool, tower, tokenizer
        self.size, self.n_questions, self.seed = size, n_questions, seed

    def questions(self, index: int, rng: np.random.Generator) -> list[SceneQuestion]:
        """Questions of one scene."""
        things = things_in(self.pool.meta[index]["objects"], self.pool.coverage(index))
        return draw_questions(things, ground_of(FIRST_SEED + index), rng, self.n_questions)

    def packed(self, indices: Array, n_tokens: int, rng: np.random.Generator) -> Packed:
        """The rows of some scenes."""
        questions = [self.questions(int(index), rng) for index in indices]
        short = bool(rng.random() < _SHORT)
        return pack_questions(self.tokenizer, n_tokens, questions, rng, short)

    @torch.no_grad()
    def states(self, indices: Array) -> Tensor:
        """CLIP's patch states [B, N, d] in float32, in the order of the indices.

        They are rounded to float16, as the bundled miniature was trained.
        """
        order = np.argsort(indices)
        pixels = self.pool.crops(indices[order]).to(self.tower.device)
        states = self.tower.image(pixels).patch_tokens.half().float().cpu()
        return states[np.argsort(order)]

    def patch_labels(self, index: int) -> Tensor:
        """Place of the category that covers most of each patch; ``IGNORE`` below a half [N]."""
        coverage = self.pool.coverage(index)
        places = [_PLACES[item[0]] for item in self.pool.meta[index]["objects"]]
        most = coverage[:, : len(places)].argmax(1)
        labels = np.array(places)[most]
        labels[coverage[np.arange(len(most)), most] < MOSTLY] = IGNORE
        return torch.from_numpy(labels)

    def batch(self, step: int) -> QuestionBatch:
        """The batch of one step."""
        rng = np.random.default_rng([self.seed, step])
        indices = self.pool.indices(self.seed, step, self.size)
        states = self.states(indices)
        packed = self.packed(indices, states.shape[1], rng)
        labels = torch.stack([self.patch_labels(int(index)) for index in indices])
        return QuestionBatch(states, packed, labels)
