"""Train the miniature from nothing: ``python -m litelvlm.training.glamm --out FOLDER [--seed 0]``.

Four stages, each resumable at any point: CLIP contrastively; SAM on points and boxes; the language
side by pointing; the language side and the mask decoder on masks. The result is a checkpoint folder
under the published names and a card with its held-out scores.
"""

import argparse
import logging
import shutil
import sys
from pathlib import Path

import torch

from litelvlm import interrupts
from litelvlm.data.load import load_refer
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.checkpoints.source import EMBEDDED
from litelvlm.training.glamm.card import write_card
from litelvlm.training.glamm.export import export
from litelvlm.training.glamm.train import MODELS, RECIPES, train

_CARDS = EMBEDDED["embedded"].parents[1] / "cards"


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
