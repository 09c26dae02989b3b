"""Train the miniature LLaVA: ``python -m litelvlm.training.llava --out FOLDER [--seed 0]``.

One stage, resumable at any point, then the export and the card with held-out scores. The miniature
GLaMM gives CLIP, and the start of the projector and of the language model.
"""

import argparse
import logging
import shutil
import sys
from pathlib import Path

import torch

from litelvlm import interrupts
from litelvlm.models.glamm.build import load_model
from litelvlm.models.vlm.answering.load import miniature
from litelvlm.models.vlm.miniature import LLAVA, save_miniature, vision_of
from litelvlm.training.llava.card import measure, write_card
from litelvlm.training.llava.export import as_llava
from litelvlm.training.llava.sizes import llava_config
from litelvlm.training.llava.train import LlavaRecipe, train
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world

_CARD = LLAVA.parents[1] / "cards" / "llava.md"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of states, log and the final checkpoint"
    )
    parser.add_argument(
        "--scenes", type=Path, help="folder of rendered scenes (default: OUT/scenes)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument(
        "--ship", action="store_true", help="make the result the miniature LLaVA of this checkout"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    if given.threads:
        torch.set_num_threads(given.threads)
    out, device, recipe = given.out, torch.device(given.device), LlavaRecipe()
    glamm = load_model("embedded", dtype="float32", device=device)
    pool = ScenePool(given.scenes or out / "scenes", get_world("pictograms"), recipe.scenes)
    side, tokenizer = train(recipe, glamm, pool, out, given.seed, device)
    config = llava_config(tokenizer, vision_of(glamm.tower.clip.config))
    model = as_llava(side.cpu(), config, glamm.to(torch.device("cpu")).tower)
    save_miniature(out / "checkpoint", model, tokenizer)
    exported = miniature("embedded-llava", out / "checkpoint", device)
    card = out / _CARD.name
    write_card(exported, measure(exported), out, recipe, given.seed, card)
    if given.ship:
        shutil.copytree(out / "checkpoint", LLAVA, dirs_exist_ok=True)
        for file in (card, card.with_suffix(".json")):
            shutil.copyfile(file, _CARD.parent / file.name)


if __name__ == "__main__":
    sys.exit(interrupts.interruptible(main, "the last saved state is kept"))
