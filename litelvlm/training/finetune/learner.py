"""The losses of one part of a step: chosen tokens, words of the answers, and masks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from litelvlm.models.glamm.language.decoding import read_given_states
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.prompting.prompts import full_prompt
from litelvlm.models.segmenting import named_method
from litelvlm.pruning import Pruner, Selection, get_pruner
from litelvlm.pruning.cue_table import OF_LANGUAGE_MODEL
from litelvlm.pruning.registry import spelled
from litelvlm.training.arrays import step_indices
from litelvlm.training.dice import dice_loss
from litelvlm.training.finetune.examples import Example, Examples
from litelvlm.training.finetune.recipe import FineTuneRecipe
from litelvlm.training.loop import Losses
from litelvlm.training.packing import IGNORE, answer_turns

SMOOTHING = 1e-3
"""Pixels that the official Dice loss adds: 1e-6 of a thousand."""


class Answers(NamedTuple):
    """What a pass over given answers gives.

    Attributes:
        states: That predict each learned token.
        tokens: These tokens.
        seg_states: Of each conversation, the states that its masks are decoded from.
    """

    states: Float[Tensor, "n d"]
    tokens: Int[Tensor, " n"]
    seg_states: list[Float[Tensor, "_ d"]]


class Learner(nn.Module):
    """A model with the losses of its fine-tuning.

    Args:
        model: Its parameters that require gradients are trained. One in bfloat16 computes in it,
            whatever the number type of these becomes.
        examples: Images to learn from.
        recipe: What is drawn, and how losses are weighed.
        process: Number of this process.
        processes: How many share a step.
    """

    def __init__(
        self,
        model: Glamm,
        examples: Examples,
        recipe: FineTuneRecipe,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        super().__init__()
        self.model, self.examples, self.recipe = model, examples, recipe
        self.process, self.processes = process, processes
        self.methods = methods_of(model, recipe)
        self.low_precision = model.dtype == torch.bfloat16

    def forward(self, part: int) -> Losses:
        """Losses of one part of a step, a function of the recipe's seed and the part alone."""
        with self._autocast(self.low_precision):
            return self._losses_of(part)

    def _autocast(self, enabled: bool) -> torch.autocast:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=enabled)

    def _losses_of(self, part: int) -> Losses:
        number, recipe = part * self.processes + self.process, self.recipe
        rng = np.random.default_rng([recipe.seed, number])
        indices = step_indices(len(self.examples), recipe.seed, number, recipe.batch)
        batch = [self.examples.draw(index, self.model, rng) for index in indices.tolist()]
        method = self.methods[rng.integers(len(self.methods))] if self.methods else None
        keys = rng.integers(2**31, size=len(batch)).tolist()
        self.model.llama.eval()  # no dropout where tokens are chosen
        states = [self.encoded(example) for example in batch]
        chosen = [self.select(method, *entry) for entry in zip(states, batch, keys, strict=True)]
        # Autocast of older releases keeps weights that were lowered where no gradient is computed.
        torch.clear_autocast_cache()
        torch.manual_seed(int(rng.integers(2**63)))  # dropout, of the CPU and the GPU
        self.model.llama.train()
        return self.losses(states, batch, chosen)

    def encoded(self, example: Example) -> ImageState:
        """The image as the frozen towers encode it, as tensors that gradients may pass.

        Its numbers are those of the evaluation, since a cache of images may hand them to both.
        """
        with self._autocast(False):
            state = self.model.encode_image(example.image)
        plain = {name: value.clone() for name, value in state.tensors().items()}
        return ImageState.from_tensors(self.model.tower, self.model.device, plain)

    @torch.no_grad()
    def select(
        self, method: tuple[Pruner, int] | None, state: ImageState, example: Example, key: int
    ) -> Selection | None:
        """The tokens that a method keeps of one image; None keeps all.

        What a method reads of frozen parts has the numbers of the evaluation. The language model's
        parts are of several number types while it is trained, so a method that reads it needs
        autocast.
        """
        if method is None:
            return None
        pruner, budget = method
        mixed = self.low_precision and not pruner.needs.isdisjoint(OF_LANGUAGE_MODEL)
        covered = torch.from_numpy(state.view.coverage(example.target.amax(0).numpy() > 0)).float()
        with self._autocast(mixed):
            return pruner.select(self.model.cues(state, example.conversation, covered, key), budget)

    def losses(
        self,
        states: Sequence[ImageState],
        batch: Sequence[Example],
        selections: Sequence[Selection | None],
    ) -> Losses:
        """Weighed losses of some images.

        Words: mean over all learned tokens. Masks: at the size of the images, mean over the pixels
        of a mask, then over masks.
        """
        recipe, model = self.recipe, self.model
        answers = self.answers(states, batch, selections)
        dice, bce, iou = [], [], []
        for state, example, seg_states in zip(states, batch, answers.seg_states, strict=True):
            logits = model.masker.begin(state).decode(model.seg_head(seg_states))[:, 0]
            target, valid = (one.to(logits) for one in (example.target, example.valid))
            dice.append(dice_loss(logits, target, valid, SMOOTHING))
            pixels = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
            bce.append(pixels.sum((-1, -2)) / valid.sum((-1, -2)).clamp_min(1))
            hit, truth = (logits > 0) & (valid > 0), target > 0
            iou.append((hit & truth).sum((-1, -2)) / (hit | truth).sum((-1, -2)).clamp_min(1))
        words = F.cross_entropy(model.llama.lm_head(answers.states).float(), answers.tokens)
        return {
            "words": recipe.ce_weight * words,
            "dice": recipe.dice_weight * torch.cat(dice).mean(),
            "bce": recipe.bce_weight * torch.cat(bce).mean(),
            "_iou": torch.cat(iou).mean(),
        }

    def answers(
        self,
        states: Sequence[ImageState],
        batch: Sequence[Example],
        selections: Sequence[Selection | None],
    ) -> Answers:
        """Read the given answers of some conversations in one pass."""
        model, tokenizer = self.model, self.model.tokenizer
        visual = [model.visual_tokens(*entry) for entry in zip(states, selections, strict=True)]
        asked = [example.conversation for example in batch]
        places, targets = [], []
        for conversation, tokens in zip(asked, visual, strict=True):
            learned = answer_turns(tokenizer, tokenizer.encode(full_prompt(conversation))).targets
            found = [(i, token) for i, token in enumerate(learned) if token != IGNORE]
            # In the prompt's tokens the image is one; all answers stand behind it.
            places.append([i + len(tokens) - 1 for i, _ in found])
            targets.append([token for _, token in found])
        spliced = model.splice(visual, asked, selections)
        given, _ = read_given_states(model, spliced, asked, selections, places)
        segs = [
            row[[i + model.read_offset for i, t in enumerate(tokens) if t == tokenizer.seg_id]]
            for row, tokens in zip(given.seg_states, targets, strict=True)
        ]
        words = torch.tensor([token for row in targets for token in row], device=model.device)
        return Answers(torch.cat(given.seg_states), words, segs)


def methods_of(model: Glamm, recipe: FineTuneRecipe) -> list[tuple[Pruner, int]]:
    """The method with each of its budgets; empty where every token is kept.

    Raises:
        ValueError: If the method is unknown, cannot be used in this model, or cannot keep to a
            budget.
    """
    if recipe.pruner == "none":
        if recipe.budget:
            raise ValueError(
                f"budget {recipe.budget[0]} was given with pruner 'none', which keeps every token; "
                "leave it out, or name a method"
            )
        return []
    named = spelled(recipe.pruner)
    pruner, found = get_pruner(named.name, named.preset, **named.fields), []
    for budget in recipe.budget or (None,):
        if method := named_method(pruner, budget, model.sizes(model.n_tokens)):
            model.check_method(pruner, 1, method[1])
            found.append(method)
    return found
