"""Can GLaMM read a CLIP that never had the dense helper? ``python benchmarks/helper_free.py``.

Two models learn to ground for the same few steps. Both begin as the shipped miniature with a
projector drawn anew. One keeps the shipped CLIP, which was trained with the helper. The other gets
a CLIP of the same seed that never had it. Stored are cIoU at several budgets on the first images of
val, with intervals over images, and the reversal index of both CLIPs as ``benchmarks/recipes.py``
measures it.

With ``--pointing`` they first learn to point at tokens without masks, as in the shipped recipe; the
stored numbers are without it. Trainings resume. Everything is float32, which a processor without
bfloat16 instructions needs.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from common import store
from recipes import referents, summary
from torch import nn

from litelvlm.analysis.api import complete_run, read_summary
from litelvlm.analysis.studies import sweep
from litelvlm.clip.hf import ClipTower
from litelvlm.data.load import load_refer
from litelvlm.embedded.export import export
from litelvlm.embedded.loop import Recipe, Stage
from litelvlm.embedded.pool import ScenePool
from litelvlm.embedded.tokenizers import load_or_make
from litelvlm.embedded.train import MODELS, RECIPES
from litelvlm.embedded.train_clip import train_clip
from litelvlm.embedded.train_grounding import PointingHelper, train_grounding
from litelvlm.embedded.worlds import get_world
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.checkpoints.source import EMBEDDED
from litelvlm.models.glamm.model import Glamm

ARMS = ("with helper", "without helper")
CLIP_STEPS, STEPS, IMAGES = 700, 300, 100
METHODS = ("litelvlm", "litelvlm(direction=highest)", "random", "value_norm", "mask_oracle")
BUDGETS = (48, 16)
CPU = torch.device("cpu")


def recipe_without_helper() -> Recipe:
    """The miniature's recipe without the helper, and with a shorter training of CLIP."""
    plain = RECIPES["pictograms"]
    clip = replace(plain.clip, steps=CLIP_STEPS, autocast=False, save_every=50)
    return replace(plain, clip=clip, helper=0.0, helper_from=0)


def helper_free_tower(out: Path, pool: ScenePool) -> ClipTower:
    """CLIP that contrast alone has trained, seed 0."""
    source = EMBEDDED[MODELS["pictograms"]]
    world = pool.world
    words, _ = load_or_make(out / "tokenizers", source, world.words(), world.text_pieces)
    return ClipTower(train_clip(recipe_without_helper(), pool, words, out, 0, CPU), words)


def adapted(arm: str, pointing: int, steps: int, out: Path, pool: ScenePool) -> Glamm:
    """The shipped model with the CLIP of an arm and a new projector, after both stages."""
    model = load_model("embedded", dtype="float32", device="cpu")
    if arm == "without helper":
        model.tower = helper_free_tower(out / "clip", pool)
    torch.manual_seed(0)
    for part in model.projector.modules():
        if isinstance(part, nn.Linear):
            part.reset_parameters()
    helper = PointingHelper(model.llama.config.hidden_size, pool.world)
    folder = out / f"{arm.replace(' ', '-')}-{pointing}-{steps}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, n_steps in (("point", pointing), ("joint", steps)):
        stage = Stage(
            name, steps=n_steps, batch=16, lr=1e-3, warmup=30, autocast=False, save_every=25
        )
        if n_steps:
            train_grounding(stage, model, helper, pool, folder, 0, masks=name == "joint")
    export(model, folder / "checkpoint")
    return load_model(folder / "checkpoint", dtype="float32", device="cpu")


def scores(model: Glamm, out: Path) -> list[dict[str, object]]:
    """CIoU of every method and budget, with its interval over images."""
    config = sweep.Config(methods=METHODS, budgets=BUDGETS, seeds=3, limit=IMAGES)
    run = complete_run(sweep.STUDY, model, load_refer("embedded", split="val"), config, out)
    table = read_summary(run).table("scores")
    wanted = ["method", "budget", "value", "low", "high", "n_images", "n"]
    found: list[dict[str, object]] = table[table["metric"] == "ciou"][wanted].to_dict("records")
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of states and scenes")
    parser.add_argument("--pointing", type=int, default=0, help="steps of pointing before masks")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps with masks of each arm")
    parser.add_argument("--arm", choices=ARMS, help="only train and score this one; store nothing")
    given = parser.parse_args()
    out: Path = given.out
    world = get_world("pictograms")
    pool = ScenePool(out / "scenes", world, RECIPES["pictograms"].scenes)
    arms = {}
    for arm in [given.arm] if given.arm else ARMS:
        model = adapted(arm, given.pointing, given.steps, out, pool)
        reversal = summary(list(referents(model.tower)))
        arms[arm] = {"reversal": reversal, "scores": scores(model, out / "runs")}
    settings = {
        "clip_steps": CLIP_STEPS,
        "pointing": given.pointing,
        "steps": given.steps,
        "images": IMAGES,
    }
    if not given.arm:
        store("helper_free", {"settings": settings, "arms": arms})


if __name__ == "__main__":
    main()
