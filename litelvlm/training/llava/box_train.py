"""Train the miniature LLaVA that writes boxes, in one stage that can be resumed.

It starts as the miniature GLaMM, whose state before an answer knows where the referent lies. CLIP
stays as it is.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import LlavaConfig, PreTrainedTokenizerFast

from litelvlm.models.glamm.model import Glamm
from litelvlm.models.vlm.miniature import vision_of
from litelvlm.training.checkpoints import claim_folder
from litelvlm.training.llava.boxes import FORMS, NUMBERS, STEPS, BoxScenes, box_tokenizer, pieces_of
from litelvlm.training.llava.sizes import LanguageSide, glamm_layers, llava_config
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.packing import IGNORE, forward_packed
from litelvlm.training.pool import ScenePool

_WAVE = 0.5  # of the spread of an embedding
_STAGE = Stage("boxes", steps=600, batch=8, lr=7e-4, warmup=50, save_every=50)


@dataclass(frozen=True)
class BoxRecipe:
    """Everything that decides the weights, but for the seed and the two miniatures.

    Attributes:
        scenes: Distinct training scenes.
        expressions: Expressions of a scene in one step.
        distance: Weight of the distance between the mean of the numbers and the true one.
        helper: Weight of the helper that reads boxes from the visual tokens.
        stage: Length and rate.
    """

    scenes: int = 10_000
    expressions: int = 8
    distance: float = 4.0
    helper: float = 4.0
    stage: Stage = _STAGE


class BoxHelper(nn.Module):
    """Reads the box of what a patch shows from its projected token; trained along, then dropped.

    Args:
        width: Of the language model.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, 4)

    def loss(self, visual: Float[Tensor, "b n d"], boxes: Float[Tensor, "b n 4"]) -> Tensor:
        """Mean distance to the sides of the box, in sides of the square, where there is one."""
        at = boxes[..., 0].isfinite()
        return F.l1_loss(self.head(visual[at]).float(), boxes[at])


def first_weights(
    glamm: Glamm, tokenizer: PreTrainedTokenizerFast, config: LlavaConfig, seed: int
) -> LanguageSide:
    """The language side before training: the miniature GLaMM's.

    A word's rows are the means of the rows of its pieces there. Numbers start as the colon before
    an answer, with waves added, so that near numbers are alike.
    """
    side, source = glamm_layers(glamm, config, seed), glamm.llama
    embeds, head = side.llama.model.embed_tokens.weight, side.llama.lm_head.weight
    with torch.no_grad():
        for word, index in tokenizer.get_vocab().items():
            pieces = pieces_of(glamm, word)
            embeds[index] = source.model.embed_tokens.weight[pieces].mean(0)
            head[index] = source.lm_head.weight[pieces].mean(0)
        numbers = tokenizer.convert_tokens_to_ids(list(NUMBERS))
        colon = embeds[tokenizer.convert_tokens_to_ids(":")].clone()
        embeds[numbers] = colon + _WAVE * colon.std() * waves(len(colon))
        head[numbers] = head.std() * waves(len(colon))
    return side


def waves(width: int) -> Float[Tensor, "n d"]:
    """A row for each number: sines and cosines of its place, with an average square of 1."""
    places = torch.arange(STEPS + 1)[:, None] / STEPS
    angles = places * torch.arange(1, width // 2 + 1) * (math.pi * STEPS / width)
    rows = math.sqrt(2.0) * torch.cat([angles.sin(), angles.cos()], dim=1)
    return rows.repeat(len(FORMS), 1)


def answer_losses(
    logits: Float[Tensor, "n v"], labels: Tensor, first: int
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the next tokens, and how far the mean number is from the true one.

    Args:
        logits: Where a token is learned.
        labels: The tokens.
        first: Id of the first number.
    """
    at = labels >= first  # numbers are the last tokens
    form, place = (labels[at] - first) // (STEPS + 1), (labels[at] - first) % (STEPS + 1)
    each = logits[at][:, first:].view(-1, len(FORMS), STEPS + 1)
    same = each[torch.arange(len(form), device=form.device), form]
    mean = same.softmax(-1) @ torch.arange(STEPS + 1.0, device=form.device)
    return F.cross_entropy(logits, labels), (mean - place).abs().mean() / STEPS


def train(
    recipe: BoxRecipe, glamm: Glamm, pool: ScenePool, out: Path, seed: int, device: torch.device
) -> tuple[LanguageSide, PreTrainedTokenizerFast]:
    """Train the language side, from its last state in ``out`` if there is one.

    Args:
        recipe: What to train for how long.
        glamm: The miniature whose CLIP is used.
        pool: Training scenes.
        out: Folder of the states and the log.
        seed: Order of the scenes and of every choice.
        device: Where to train.

    Raises:
        ValueError: If ``out`` holds the states of another recipe, seed or miniature.
    """
    claim_folder(out, {"seed": seed, "glamm": glamm.digest, **asdict(recipe)})
    tokenizer = box_tokenizer()
    config = llava_config(tokenizer, vision_of(glamm.tower.clip.config))
    side = first_weights(glamm, tokenizer, config, seed).to(device)
    size, count = recipe.stage.batch, recipe.expressions
    scenes = BoxScenes(pool, glamm.tower, tokenizer, size, count, seed)
    helper = BoxHelper(side.llama.config.hidden_size).to(device)
    trained = nn.ModuleDict({"side": side, "helper": helper}).train()
    first = len(tokenizer) - len(NUMBERS)

    def losses(step: int) -> Losses:
        batch = scenes.batch(step)
        visual = side.projector(batch.states.to(device))
        hidden = forward_packed(side.llama, batch.packed, visual).hidden_states
        labels = batch.packed.labels.to(device)
        at = labels != IGNORE
        logits = side.llama.lm_head(hidden[at]).float()
        answer, distance = answer_losses(logits, labels[at], first)
        found = helper.loss(visual, batch.labels.to(device))
        return {
            "answer": answer,
            "distance": recipe.distance * distance,
            "helper": recipe.helper * found,
        }

    run_stage(recipe.stage, trained, losses, out, device)
    side.eval()
    return side, tokenizer
