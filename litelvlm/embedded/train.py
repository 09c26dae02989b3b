"""Train the miniature from nothing: ``python -m litelvlm.embedded.train --out FOLDER [--seed 0]``.

Four stages, each resumable at any point: CLIP contrastively; SAM on points and boxes; the language
side by pointing; the language side and the mask decoder on masks. The result is a checkpoint folder
under the published names and a card with its held-out scores.
"""

import argparse
import json
import logging
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch
from transformers import SamModel

from litelvlm import interrupts
from litelvlm.clip.hf import ClipTower
from litelvlm.data.load import load_refer
from litelvlm.embedded.card import write_card
from litelvlm.embedded.export import export
from litelvlm.embedded.loop import Recipe, Stage
from litelvlm.embedded.pool import ScenePool
from litelvlm.embedded.sizes import new_language_side
from litelvlm.embedded.tokenizers import load_or_make
from litelvlm.embedded.train_clip import train_clip
from litelvlm.embedded.train_grounding import PointingHelper, train_grounding
from litelvlm.embedded.train_sam import train_sam
from litelvlm.embedded.worlds import get_world
from litelvlm.models.glamm.build import assemble, load_model
from litelvlm.models.glamm.checkpoints.source import EMBEDDED
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer

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
_CARDS = Path(__file__).parent / "cards"
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of states, logs and the final checkpoint"
    )
    parser.add_argument(
        "--scenes", type=Path, help="folder of rendered scenes (default: OUT/scenes)"
    )
    parser.add_argument("--world", choices=tuple(RECIPES), default="pictograms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument(
        "--ship",
        action="store_true",
        help="make the result the miniature of this world in this checkout",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    out: Path = arguments.out
    device = torch.device(arguments.device)
    recipe = RECIPES[arguments.world]
    model = train(recipe, out, arguments.scenes or out / "scenes", arguments.seed, device)
    export(model, out / "checkpoint")
    exported = load_model(out / "checkpoint", dtype="float32", device=device)
    name = MODELS[recipe.world]
    card = out / f"{recipe.world}.md"
    write_card(exported, load_refer(name, split="val"), out, recipe, arguments.seed, card)
    if arguments.ship:
        shutil.copytree(out / "checkpoint", EMBEDDED[name], dirs_exist_ok=True)
        for file in (card, card.with_suffix(".json")):
            shutil.copyfile(file, _CARDS / file.name)


if __name__ == "__main__":
    sys.exit(interrupts.interruptible(main, "finished stages and saved states are kept"))
