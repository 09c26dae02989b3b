"""Train what is bundled, or the small CLIPs that the emergence study reads.

    python -m litelvlm.training glamm --world pictograms --out FOLDER --seed 0
    python -m litelvlm.training llava --out FOLDER --seed 0
    python -m litelvlm.training trainings --out FOLDER --stage A

Stop at any time (Ctrl-C); the same command goes on. The first two end with a checkpoint folder;
`litelvlm evaluate --model FOLDER/checkpoint` scores it.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from litelvlm import interrupts
from litelvlm.models.glamm.build import load_model
from litelvlm.models.vlm.miniature import save_miniature, vision_of
from litelvlm.training.glamm.recipe import RECIPES
from litelvlm.training.glamm.train import export
from litelvlm.training.glamm.train import train as train_glamm
from litelvlm.training.llava.sizes import as_llava, llava_config
from litelvlm.training.llava.train import LlavaRecipe
from litelvlm.training.llava.train import train as train_llava
from litelvlm.training.pool import ScenePool
from litelvlm.training.trainings.design import STAGES, members
from litelvlm.training.trainings.train import DONE, train_member
from litelvlm.training.worlds import get_world

log = logging.getLogger(__name__)


def glamm(given: argparse.Namespace) -> None:
    """Train a miniature GLaMM and write it as a checkpoint."""
    recipe, device = RECIPES[given.world], torch.device(given.device)
    model = train_glamm(recipe, given.out, given.scenes, given.seed, device)
    export(model, given.out / "checkpoint")


def llava(given: argparse.Namespace) -> None:
    """Train the miniature LLaVA and write it as a checkpoint."""
    recipe, device = LlavaRecipe(), torch.device(given.device)
    start = load_model("embedded", dtype="float32", device=device)
    pool = ScenePool(given.scenes, get_world("pictograms"), recipe.scenes)
    side, tokenizer = train_llava(recipe, start, pool, given.out, given.seed, device)
    config = llava_config(tokenizer, vision_of(start.tower.clip.config))
    model = as_llava(side.cpu(), config, start.to(torch.device("cpu")).tower)
    save_miniature(given.out / "checkpoint", model, tokenizer)


def trainings(given: argparse.Namespace) -> None:
    """Train one small CLIP after another, seed after seed."""
    chosen = [
        member
        for member in members(given.stage or STAGES, given.only)
        if given.seeds is None or member.seed < given.seeds
    ]
    for number, member in enumerate(chosen, start=1):
        state = "done" if (given.out / member.name / DONE).exists() else "to do"
        log.info("%d of %d: %s (%s)", number, len(chosen), member.name, state)
        if not given.plan:
            train_member(member, given.out, given.scenes, torch.device(given.device))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = parser.add_subparsers(required=True)
    verbs = {}
    for work in (glamm, llava, trainings):
        verb = every.add_parser(work.__name__, help=work.__doc__, description=work.__doc__)
        verbs[work.__name__] = verb
        verb.set_defaults(work=work)
        verb.add_argument("--out", type=Path, required=True, help="folder of states and results")
        verb.add_argument("--scenes", type=Path, help="rendered scenes (default: OUT/scenes)")
        verb.add_argument("--device", default="cpu", help="only a CPU gives equal weights again")
        verb.add_argument("--threads", type=int, help="CPU threads")
    for verb in (verbs["glamm"], verbs["llava"]):
        verb.add_argument("--seed", type=int, default=0)
        verb.set_defaults(device="cuda" if torch.cuda.is_available() else "cpu")
    verbs["glamm"].add_argument("--world", choices=tuple(RECIPES), default="pictograms")
    many = verbs["trainings"]
    many.add_argument("--stage", action="append", choices=STAGES, help="stages; all if left out")
    many.add_argument("--only", help="one cell by name")
    many.add_argument(
        "--seeds", type=int, choices=range(1, 11), help="only the first so many seeds of each cell"
    )
    many.add_argument("--plan", action="store_true", help="list the trainings and stop")
    many.set_defaults(threads=1)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; 130 if it was interrupted."""
    given = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if given.threads:
        torch.set_num_threads(given.threads)
    given.scenes = given.scenes or given.out / "scenes"
    kept = "finished trainings and saved states are kept"
    return interrupts.interruptible(lambda: given.work(given), kept)


if __name__ == "__main__":
    sys.exit(main())
