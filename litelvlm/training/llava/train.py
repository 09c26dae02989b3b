"""Train the miniature LLaVA: ``python -m litelvlm.training.llava --out FOLDER [--seed 0]``.

One stage, resumable at any point. CLIP is the miniature's and stays as it is. The projector and the
language model start as the miniature GLaMM's and learn to answer questions about rendered scenes.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from litelvlm.data.understanding.scenes import (
    QUESTION_KINDS,
    SceneQuestion,
    draw_questions,
    things_in,
)
from litelvlm.data.worlds.canvas import pick
from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.data.worlds.pictograms.objects import LEVELS
from litelvlm.data.worlds.pictograms.places import PLACE_NAMES
from litelvlm.models.glamm.language.llama import decode
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.vlm.miniature import vision_of
from litelvlm.training.glamm.packing import IGNORE
from litelvlm.training.llava.features import FeatureCache
from litelvlm.training.llava.packing import PackedQuestions, pack_questions
from litelvlm.training.llava.sizes import LanguageSide, first_weights, llava_config
from litelvlm.training.llava.tokenizer import make_tokenizer
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.pool import FIRST_SEED, ScenePool
from litelvlm.training.worlds.pictograms import LEVELS_IN_TURN

_SHORT = 0.5  # share of steps that ask for a single word or phrase
_MOSTLY = 0.5  # share of a patch that an object must cover to give it a label
_PLACES = {name: place for place, name in enumerate(CATEGORIES)}


_STAGE = Stage("answers", steps=2600, batch=16, lr=1e-3, save_every=100)


@dataclass(frozen=True)
class LlavaRecipe:
    """Everything that decides the weights, but for the seed and the miniature GLaMM.

    Attributes:
        scenes: Distinct training scenes.
        questions: Questions about a scene in one step.
        helper: Weight of the helper that reads categories from the states of visual tokens.
        stage: Length and rate.
    """

    scenes: int = 40_000
    questions: int = 9
    helper: float = 0.3
    stage: Stage = _STAGE


def ground_of(seed: int) -> str:
    """Name of the ground of a training scene: the generator's second draw, after the canvas."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pick(rng, LEVELS[LEVELS_IN_TURN[seed % len(LEVELS_IN_TURN)]].aspects)
    return pick(rng, PLACE_NAMES)


class CategoryHelper(nn.Module):
    """Reads the category of what a patch shows from its visual token; trained along, then dropped.

    Args:
        width: Of the language model.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, len(CATEGORIES))

    def losses(self, states: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy where a patch is mostly one object.

        Args:
            states: Last states of the visual tokens [B, N, d].
            labels: Place of the category, ``IGNORE`` for none [B, N].
        """
        at = labels != IGNORE
        logits = self.head(states[at]).float()
        right = (logits.argmax(-1) == labels[at]).float().mean()
        return {"helper": F.cross_entropy(logits, labels[at]), "_helper_acc": right}


class QuestionScenes:
    """Training batches: questions of some scenes and the patch states of their images.

    Args:
        pool: The scenes.
        features: CLIP's states of them.
        tokenizer: The words.
        recipe: Sizes.
        seed: Order of the scenes and of every choice.
    """

    def __init__(
        self,
        pool: ScenePool,
        features: FeatureCache,
        tokenizer: PreTrainedTokenizerFast,
        recipe: LlavaRecipe,
        seed: int,
    ) -> None:
        self.pool, self.features, self.tokenizer = pool, features, tokenizer
        self.recipe, self.seed = recipe, seed

    def questions(self, index: int, rng: np.random.Generator) -> list[SceneQuestion]:
        """Questions of one scene."""
        things = things_in(self.pool.meta[index]["objects"], self.pool.coverage(index))
        return draw_questions(things, ground_of(FIRST_SEED + index), rng, self.recipe.questions)

    def patch_labels(self, index: int) -> Tensor:
        """Place of the category that covers most of each patch; ``IGNORE`` below a half [N]."""
        coverage = self.pool.coverage(index)
        places = [_PLACES[item[0]] for item in self.pool.meta[index]["objects"]]
        most = coverage[:, : len(places)].argmax(1)
        labels = np.array(places)[most]
        labels[coverage[np.arange(len(most)), most] < _MOSTLY] = IGNORE
        return torch.from_numpy(labels)

    def batch(self, step: int) -> tuple[Tensor, PackedQuestions, Tensor]:
        """Patch states [B, N, d], rows, and labels of the patches [B, N] of one step."""
        rng = np.random.default_rng([self.seed, step])
        indices = self.pool.indices(self.seed, step, self.recipe.stage.batch)
        questions = [self.questions(int(index), rng) for index in indices]
        states = self.features[indices]
        short = bool(rng.random() < _SHORT)
        packed = pack_questions(self.tokenizer, states.shape[1], questions, rng, short)
        return states, packed, torch.stack([self.patch_labels(int(index)) for index in indices])


def answer_losses(
    side: LanguageSide, states: Tensor, packed: PackedQuestions
) -> tuple[Losses, Tensor]:
    """Cross-entropy of the answers; by kind, how often the first token is right (for the log).

    Returns:
        The losses, and the last states of the visual tokens [B, N, d].
    """
    device = next(side.parameters()).device
    ids, visual = packed.ids.to(device), side.projector(states.to(device))
    embeds = side.llama.model.embed_tokens(ids)
    end = packed.start + visual.shape[1]
    embeds = torch.cat([embeds[:, : packed.start], visual.to(embeds.dtype), embeds[:, end:]], dim=1)
    # Under autocast the attention kernel wants its mask in the number type of the queries.
    low = torch.bfloat16 if torch.is_autocast_enabled(device.type) else embeds.dtype
    mask = packed.attention_mask.to(device, low)
    hidden = decode(side.llama, embeds, packed.position_ids.to(device), attention_mask=mask)
    labels = packed.labels.to(device)
    at = labels != IGNORE
    logits = side.llama.lm_head(hidden[at]).float()
    parts: Losses = {"answer": F.cross_entropy(logits, labels[at])}
    with torch.no_grad():
        right = torch.zeros(labels.shape, device=device)
        right[at] = (logits.argmax(-1) == labels[at]).float()
        rows = torch.arange(len(labels), device=device)[:, None]
        first = right[rows, packed.first.to(device)]
        for place, kind in enumerate(QUESTION_KINDS):
            chosen = packed.kind.to(device) == place
            if chosen.any():
                parts[f"_{kind}"] = first[chosen].mean()
    return parts, hidden[:, packed.start : end]


def train(
    recipe: LlavaRecipe, glamm: Glamm, pool: ScenePool, out: Path, seed: int, device: torch.device
) -> tuple[LanguageSide, PreTrainedTokenizerFast]:
    """Train the language side, from its last state in ``out`` if there is one.

    Args:
        recipe: What to train for how long.
        glamm: The miniature whose CLIP is used and whose language side is the start.
        pool: Training scenes.
        out: Folder of the states, the log and the cached patch states.
        seed: Order of the scenes and of every choice.
        device: Where to train.

    Raises:
        ValueError: If ``out`` holds the states of another recipe, seed or miniature.
    """
    out.mkdir(parents=True, exist_ok=True)
    plan = json.dumps({"seed": seed, "glamm": glamm.digest, **asdict(recipe)}, indent=1)
    record = out / "recipe.json"
    if record.exists() and record.read_text() != plan:
        raise ValueError(
            f"{out} holds a training with another recipe, seed or miniature ({record}); choose "
            "another folder"
        )
    record.write_text(plan)
    tokenizer = make_tokenizer()
    vision = vision_of(glamm.tower.clip.config)
    side = first_weights(glamm, tokenizer, llava_config(tokenizer, vision), seed)
    side = side.to(device)
    features = FeatureCache(out / "features", pool, glamm.tower)
    scenes = QuestionScenes(pool, features, tokenizer, recipe, seed)

    helper = CategoryHelper(side.llama.config.hidden_size).to(device)
    trained = nn.ModuleDict({"side": side, "helper": helper}).train()

    def losses(step: int) -> Losses:
        states, packed, labels = scenes.batch(step)
        parts, visual = answer_losses(side, states, packed)
        found = helper.losses(visual, labels.to(device))
        return parts | {"helper": recipe.helper * found["helper"], **_logged(found)}

    run_stage(recipe.stage, trained, losses, out, device)
    side.eval()
    return side, tokenizer


def _logged(parts: Losses) -> Losses:
    return {name: value for name, value in parts.items() if name.startswith("_")}
