"""Recipes of the miniature GLaMM, and its four stages one after another."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from transformers import SamModel

from litelvlm.clip.hf import ClipTower
from litelvlm.models.glamm.build import assemble
from litelvlm.models.glamm.checkpoints.source import EMBEDDED
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer
from litelvlm.training.glamm.clip import train_clip
from litelvlm.training.glamm.grounding import PointingHelper, train_grounding
from litelvlm.training.glamm.sam import train_sam
from litelvlm.training.glamm.sizes import new_language_side
from litelvlm.training.glamm.tokenizers import load_or_make
from litelvlm.training.loop import Recipe, Stage
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world

_SHAPES = Recipe(
    world="shapes",
    scenes=30_000,
    clip=Stage("clip", steps=2000, batch=64, lr=1e-3),
    sam=Stage("sam", steps=1500, batch=16, lr=1e-3, warmup=50),
    point=Stage("point", steps=2600, batch=16, lr=1e-3),
    joint=Stage("joint", steps=1600, batch=16, lr=5e-4),
)
MODELS = {"pictograms": "embedded-pictograms", "shapes": "embedded-shapes"}
"""Name of each world's miniature and of its data set."""
RECIPES = {
    "shapes": _SHAPES,
    "pictograms": replace(
        _SHAPES,
        world="pictograms",
        scenes=40_000,
        clip=Stage("clip", steps=1500, batch=128, lr=1e-3),
        helper=0.3,
        helper_from=400,
    ),
}
"""Recipe of each world's miniature."""


def new_glamm(clip: ClipTower, sam: SamModel, tokenizer: GlammTokenizer, seed: int) -> Glamm:
    """The miniature around trained towers, its language side untrained."""
    torch.manual_seed(seed)
    parts = new_language_side(tokenizer.vocab_size)
    return assemble(parts | {"sam": sam}, clip, tokenizer, "miniature", "training")


def train(recipe: Recipe, out: Path, scenes: Path, seed: int, device: torch.device) -> Glamm:
    """Run all stages that are not finished yet and return the trained model.

    Args:
        recipe: What to train for how long.
        out: Folder of the stages' states and logs.
        scenes: Folder of rendered scenes, shared by all seeds.
        seed: Initial weights, order of the scenes and every choice.
        device: Where to train.

    Raises:
        ValueError: If ``out`` holds the states of another recipe or seed.
    """
    out.mkdir(parents=True, exist_ok=True)
    plan = json.dumps({"seed": seed, **asdict(recipe)}, indent=1)
    record = out / "recipe.json"
    if record.exists() and record.read_text() != plan:
        raise ValueError(
            f"{out} holds a training with another recipe or seed ({record}); choose another folder"
        )
    record.write_text(plan)
    world = get_world(recipe.world)
    pool = ScenePool(scenes, world, recipe.scenes)
    clip_tokenizer, tokenizer = load_or_make(
        out / "tokenizers", EMBEDDED[MODELS[world.name]], world.words(), world.text_pieces
    )
    tower = ClipTower(train_clip(recipe, pool, clip_tokenizer, out, seed, device), clip_tokenizer)
    sam = train_sam(recipe.sam, pool, out, seed, device)
    model = new_glamm(tower, sam, tokenizer, seed).to(device)
    helper = PointingHelper(model.llama.config.hidden_size, world).to(device)
    train_grounding(recipe.point, model, helper, pool, out, seed, masks=False)
    train_grounding(recipe.joint, model, helper, pool, out, seed, masks=True)
    return model
