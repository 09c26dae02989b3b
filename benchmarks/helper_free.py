"""Can GLaMM read a CLIP that never had the dense helper? ``python benchmarks/helper_free.py``.

A second miniature learns as the shipped one did, with the same seed, scenes, rates and steps of the
language side, but its CLIP never had the helper. Its CLIP takes fewer steps, and everything is
float32. Its SAM is the shipped one, which the helper does not touch. Stored are cIoU of both models
at several budgets on all of val, with intervals over images, and the reversal index of both CLIPs
as ``benchmarks/recipes.py`` measures it. Training goes on where it stopped.
"""

from dataclasses import replace
from pathlib import Path

import torch
from common import run
from recipes import referents, summary

from litelvlm.analysis.api import complete_run, read_summary
from litelvlm.analysis.studies import sweep
from litelvlm.clip.hf import ClipTower
from litelvlm.data.load import load_refer
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.training.glamm.clip import train_clip
from litelvlm.training.glamm.grounding import PointingHelper, train_grounding
from litelvlm.training.glamm.recipe import RECIPES, Recipe
from litelvlm.training.glamm.train import export, load_tokenizers, new_glamm
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world

SEED, CLIP_STEPS = 0, 700
METHODS = ("litelvlm", "litelvlm(direction=highest)", "random", "value_norm", "mask_oracle")
BUDGETS = (120, 96, 48, 16)
CPU = torch.device("cpu")


def recipe_without_helper() -> Recipe:
    """The shipped recipe without the helper, in float32, and with a shorter training of CLIP."""
    shipped = RECIPES["pictograms"]
    float32 = {"autocast": False, "save_every": 50}
    return replace(
        shipped,
        helper=0.0,
        helper_from=0,
        clip=replace(shipped.clip, steps=CLIP_STEPS, **float32),
        point=replace(shipped.point, **float32),
        joint=replace(shipped.joint, **float32),
    )


def train(recipe: Recipe, out: Path) -> Glamm:
    """CLIP by contrast alone, then the language side on it, around the shipped SAM."""
    world = get_world(recipe.world)
    pool = ScenePool(out / "scenes", world, recipe.scenes)
    words, tokenizer = load_tokenizers(world.name)
    tower = ClipTower(train_clip(recipe, pool, words, out, SEED, CPU), words)
    sam = load_model("embedded", dtype="float32", device="cpu").sam
    model = new_glamm(tower, sam, tokenizer, SEED)
    helper = PointingHelper(model.llama.config.hidden_size, world)
    train_grounding(recipe.point, model, helper, pool, out, SEED, masks=False)
    train_grounding(recipe.joint, model, helper, pool, out, SEED, masks=True)
    export(model, out / "checkpoint")
    return load_model(out / "checkpoint", dtype="float32", device="cpu")


def scores(model: Glamm, out: Path) -> list[dict[str, object]]:
    """CIoU of every method and budget, with its interval over images."""
    config = sweep.Config(methods=METHODS, budgets=BUDGETS, seeds=3)
    run = complete_run(sweep.STUDY, model, load_refer("embedded", split="val"), config, out)
    table = read_summary(run).table("scores")
    wanted = ["method", "budget", "value", "low", "high", "n_images", "n"]
    found: list[dict[str, object]] = table[table["metric"] == "ciou"][wanted].to_dict("records")
    return found


def measure(out: Path) -> dict[str, object]:
    """Train the second miniature in a folder of states and scenes, and measure both."""
    recipe = recipe_without_helper()
    models = {
        "without helper": train(recipe, out),
        "with helper": load_model("embedded", dtype="float32", device="cpu"),
    }
    arms = {
        arm: {
            "reversal": summary(list(referents(model.tower))),
            "scores": scores(model, out / "runs"),
        }
        for arm, model in models.items()
    }
    steps = {stage.name: stage.steps for stage in (recipe.clip, recipe.point, recipe.joint)}
    return {"settings": {"seed": SEED, "steps": steps}, "arms": arms}


if __name__ == "__main__":
    run(measure)
