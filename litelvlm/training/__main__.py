"""Train what is bundled, its CLIP with other seeds, or the small CLIPs of the emergence study.

    python -m litelvlm.training glamm --world pictograms --out FOLDER --seed 0
    python -m litelvlm.training llava --out FOLDER --seed 0
    python -m litelvlm.training boxes --out FOLDER --seed 0
    python -m litelvlm.training video --out FOLDER --seed 0
    python -m litelvlm.training towers --out FOLDER --seeds 2 3 4
    python -m litelvlm.training trainings --out FOLDER --stage A

Stop at any time (Ctrl-C); the same command goes on. The first four end with a checkpoint folder;
`litelvlm evaluate --model FOLDER/checkpoint` scores it. The fifth ends with a CLIP
for each training.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import torch
import tyro
from transformers import PreTrainedTokenizerFast

from litelvlm import interrupts
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.vlm.miniature import save_miniature, vision_of
from litelvlm.training.glamm.recipe import RECIPES
from litelvlm.training.glamm.towers import train_tower
from litelvlm.training.glamm.train import export
from litelvlm.training.glamm.train import train as train_glamm
from litelvlm.training.llava.box_train import BoxRecipe
from litelvlm.training.llava.box_train import train as train_boxes
from litelvlm.training.llava.sizes import LanguageSide, as_llava, llava_config
from litelvlm.training.llava.train import LlavaRecipe
from litelvlm.training.llava.train import train as train_llava
from litelvlm.training.pool import ScenePool
from litelvlm.training.trainings.design import STAGES, StageName, members
from litelvlm.training.trainings.train import train_member
from litelvlm.training.video_glamm.train import RECIPE as VIDEO_RECIPE
from litelvlm.training.video_glamm.train import export as export_video
from litelvlm.training.video_glamm.train import train as train_video
from litelvlm.training.worlds import get_world

log = logging.getLogger(__name__)
Recipe = TypeVar("Recipe", LlavaRecipe, BoxRecipe)
Train = Callable[
    [Recipe, Glamm, ScenePool, Path, int, torch.device],
    tuple[LanguageSide, PreTrainedTokenizerFast],
]
BEST = "cuda" if torch.cuda.is_available() else "cpu"


def glamm(
    out: Path,
    scenes: Path | None = None,
    seed: int = 0,
    world: Literal["pictograms", "shapes"] = "pictograms",
    device: str = BEST,
) -> None:
    """Train a miniature GLaMM and write it as a checkpoint.

    Args:
        out: Folder of states and results.
        scenes: Rendered scenes; OUT/scenes if left out.
        seed: Initial weights, order of the scenes and every choice.
        world: What the scenes show.
        device: Where to train; only a CPU gives equal weights again.
    """
    place = scenes or out / "scenes"
    model = train_glamm(RECIPES[world], out, place, seed, torch.device(device))
    export(model, out / "checkpoint")


def llava(out: Path, scenes: Path | None = None, seed: int = 0, device: str = BEST) -> None:
    """Train the miniature LLaVA and write it as a checkpoint.

    Args:
        out: Folder of states and results.
        scenes: Rendered scenes; OUT/scenes if left out.
        seed: Order of the scenes and every choice.
        device: Where to train; only a CPU gives equal weights again.
    """
    _train_llava(LlavaRecipe(), train_llava, out, scenes or out / "scenes", seed, device)


def _train_llava(
    recipe: Recipe, train: Train[Recipe], out: Path, scenes: Path, seed: int, device: str
) -> None:
    place = torch.device(device)
    start = load_model("embedded", dtype="float32", device=place)
    pool = ScenePool(scenes, get_world("pictograms"), recipe.scenes)
    side, tokenizer = train(recipe, start, pool, out, seed, place)
    config = llava_config(tokenizer, vision_of(start.tower.clip.config))
    model = as_llava(side.cpu(), config, start.to(torch.device("cpu")).tower)
    save_miniature(out / "checkpoint", model, tokenizer)


def boxes(out: Path, scenes: Path | None = None, seed: int = 0, device: str = BEST) -> None:
    """Train the miniature LLaVA that writes boxes and write it as a checkpoint.

    Args:
        out: Folder of states and results.
        scenes: Rendered scenes; OUT/scenes if left out.
        seed: Order of the scenes and every choice.
        device: Where to train; only a CPU gives equal weights again.
    """
    _train_llava(BoxRecipe(), train_boxes, out, scenes or out / "scenes", seed, device)


def video(out: Path, scenes: Path | None = None, seed: int = 0, device: str = BEST) -> None:
    """Train the miniature VideoGLaMM on clips and write it as a checkpoint.

    Args:
        out: Folder of states and results.
        scenes: Rendered clips; OUT/scenes if left out.
        seed: Initial weights, order of the clips and every choice.
        device: Where to train; only a CPU gives equal weights again.
    """
    place = scenes or out / "scenes"
    parts = train_video(VIDEO_RECIPE, out, place, seed, torch.device(device))
    export_video(parts, out / "checkpoint")


def towers(
    out: Path,
    seeds: tuple[int, ...],
    scenes: Path | None = None,
    world: Literal["pictograms", "shapes"] = "pictograms",
    device: str = "cpu",
) -> None:
    """Train a miniature's CLIP alone, without and with the dense helper, with one CPU thread.

    Args:
        out: Folder of all trainings.
        seeds: Of the trainings; both conditions of a seed start from equal weights.
        scenes: Rendered scenes; OUT/scenes if left out.
        world: What the scenes show.
        device: Where to train; only a CPU gives equal weights again.
    """
    torch.set_num_threads(1)
    for seed in seeds:
        for helper in (False, True):
            place = scenes or out / "scenes"
            log.info("%s", train_tower(world, helper, seed, out, place, torch.device(device)))


def trainings(
    out: Path,
    scenes: Path | None = None,
    stage: tuple[StageName, ...] = STAGES,
    seeds: int | None = None,
    device: str = "cpu",
) -> None:
    """Train one small CLIP after another, seed after seed, with one CPU thread.

    Args:
        out: Folder of all trainings.
        scenes: Rendered scenes; OUT/scenes if left out.
        stage: Stages of the design.
        seeds: Only the first so many seeds of each cell.
        device: Where to train; only a CPU gives equal weights again.
    """
    torch.set_num_threads(1)
    chosen = [member for member in members(stage) if seeds is None or member.seed < seeds]
    if not chosen:
        raise SystemExit("nothing to train; name at least one --stage, and 1 or more for --seeds")
    for number, member in enumerate(chosen, start=1):
        log.info("%d of %d: %s", number, len(chosen), member.name)
        train_member(member, out, scenes or out / "scenes", torch.device(device))


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; 130 if it was interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    verbs = {work.__name__: work for work in (glamm, llava, boxes, video, towers, trainings)}

    def run() -> None:
        tyro.extras.subcommand_cli_from_dict(verbs, args=words, description=__doc__)

    return interrupts.interruptible(run, "finished trainings and saved states are kept")


if __name__ == "__main__":
    sys.exit(main())
