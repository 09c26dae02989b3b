"""Train the miniature LLaVA on rendered scenes, in one stage that can be resumed.

CLIP is the miniature's and stays as it is. The projector and the language model start as the
miniature GLaMM's and learn to answer questions about rendered scenes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from litelvlm.data.worlds.pictograms.categories import CATEGORIES
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.vlm.miniature import vision_of
from litelvlm.training.checkpoints import claim_folder
from litelvlm.training.llava.batches import QuestionBatch, QuestionScenes
from litelvlm.training.llava.sizes import (
    LanguageSide,
    first_weights,
    llava_config,
    make_tokenizer,
)
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.packing import IGNORE, forward_packed, next_token_loss
from litelvlm.training.pool import ScenePool

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


def answer_loss(side: LanguageSide, batch: QuestionBatch) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the answers, and the last states of the visual tokens [B, N, d]."""
    packed, device = batch.packed, next(side.parameters()).device
    visual = side.projector(batch.states.to(device))
    hidden = forward_packed(side.llama, packed, visual).hidden_states
    loss = next_token_loss(side.llama, hidden, packed.labels.to(device))
    return loss, hidden[:, packed.start : packed.end]


def train(
    recipe: LlavaRecipe, glamm: Glamm, pool: ScenePool, out: Path, seed: int, device: torch.device
) -> tuple[LanguageSide, PreTrainedTokenizerFast]:
    """Train the language side, from its last state in ``out`` if there is one.

    Args:
        recipe: What to train for how long.
        glamm: The miniature whose CLIP is used and whose language side is the start.
        pool: Training scenes.
        out: Folder of the states and the log.
        seed: Order of the scenes and of every choice.
        device: Where to train.

    Raises:
        ValueError: If ``out`` holds the states of another recipe, seed or miniature.
    """
    claim_folder(out, {"seed": seed, "glamm": glamm.digest, **asdict(recipe)})
    tokenizer = make_tokenizer()
    vision = vision_of(glamm.tower.clip.config)
    side = first_weights(glamm, tokenizer, llava_config(tokenizer, vision), seed)
    side = side.to(device)
    size, count = recipe.stage.batch, recipe.questions
    scenes = QuestionScenes(pool, glamm.tower, tokenizer, size, count, seed)
    helper = CategoryHelper(side.llama.config.hidden_size).to(device)
    trained = nn.ModuleDict({"side": side, "helper": helper}).train()

    def losses(step: int) -> Losses:
        batch = scenes.batch(step)
        answer, visual = answer_loss(side, batch)
        found = helper.losses(visual, batch.labels.to(device))
        return {"answer": answer} | found | {"helper": recipe.helper * found["helper"]}

    run_stage(recipe.stage, trained, losses, out, device)
    side.eval()
    return side, tokenizer
