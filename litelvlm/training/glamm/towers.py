"""CLIPs of the miniature's size by themselves: what changes with the seed and the helper alone."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from litelvlm.data.files import atomic_folder
from litelvlm.training.checkpoints import claim_folder
from litelvlm.training.glamm.clip import train_clip
from litelvlm.training.glamm.recipe import RECIPES
from litelvlm.training.glamm.train import load_tokenizers
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world

TOWER = "clip"
"""Folder of a finished CLIP inside its training's folder."""
_DECISIVE = ("world", "scenes", "clip", "helper", "helper_from")  # for CLIP's weights


def train_tower(
    world: str, helper: bool, seed: int, out: Path, scenes: Path, device: torch.device
) -> Path:
    """Train one CLIP by the first stage of a miniature's recipe and keep it as float32.

    A finished one is left as it is, an interrupted one goes on.

    Args:
        world: Name of the recipe.
        helper: Whether the recipe's dense helper joins, or CLIP learns from texts alone.
        seed: Initial weights, order of the scenes and every choice.
        out: Folder of all trainings.
        scenes: Folder of rendered scenes, shared by all of them.
        device: Where to train; only a CPU gives equal weights again.

    Returns:
        The folder of the CLIP, as ``litelvlm.clip.load.load_tower`` reads it.

    Raises:
        ValueError: If the folder holds another training.
    """
    recipe = RECIPES[world] if helper else replace(RECIPES[world], helper=0.0)
    folder = out / f"{world}-{'helper' if helper else 'plain'}-{seed}"
    plan = asdict(recipe)
    claim_folder(folder, {"seed": seed} | {name: plan[name] for name in _DECISIVE})

    def fill(place: Path) -> None:
        pool = ScenePool(scenes, get_world(world), recipe.scenes)
        tokenizer, _ = load_tokenizers(world)
        train_clip(recipe, pool, tokenizer, folder, seed, device).cpu().save_pretrained(place)
        tokenizer.save_pretrained(place)

    return atomic_folder(folder / TOWER, fill)
