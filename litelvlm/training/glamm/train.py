"""The four stages of the miniature GLaMM one after another, and the checkpoint they make."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPTokenizer, SamModel

from litelvlm.clip.hf import ClipTower
from litelvlm.models.files import EMBEDDED
from litelvlm.models.glamm.build import assemble
from litelvlm.models.glamm.checkpoints.mapping import NAMES
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.network import Origin
from litelvlm.models.glamm.prompting.tokenizer import GlammTokenizer
from litelvlm.models.weights import save_checkpoint
from litelvlm.training.checkpoints import claim_folder
from litelvlm.training.glamm.clip import train_clip
from litelvlm.training.glamm.grounding import PointingHelper, train_grounding
from litelvlm.training.glamm.recipe import Recipe
from litelvlm.training.glamm.sam import train_sam
from litelvlm.training.glamm.sizes import glamm_config, new_language_side
from litelvlm.training.pool import ScenePool
from litelvlm.training.worlds import get_world


def load_tokenizers(world: str) -> tuple[CLIPTokenizer, GlammTokenizer]:
    """CLIP's and LLaMA's tokenizer of the bundled miniature of a world.

    They are a part of the recipe: pieces of equal counts would be merged in another order each time
    that they are learned.
    """
    shipped = EMBEDDED[f"embedded-{world}"]
    return (
        CLIPTokenizer.from_pretrained(shipped / "clip"),
        GlammTokenizer.from_pretrained(shipped),
    )


def new_glamm(clip: ClipTower, sam: SamModel, tokenizer: GlammTokenizer, seed: int) -> Glamm:
    """The miniature around trained towers, its language side untrained."""
    torch.manual_seed(seed)
    parts = new_language_side(tokenizer.vocab_size)
    return assemble(parts | {"sam": sam}, clip, tokenizer, "miniature", Origin("training"))


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
    claim_folder(out, {"seed": seed, **asdict(recipe)})
    world = get_world(recipe.world)
    pool = ScenePool(scenes, world, recipe.scenes)
    clip_tokenizer, tokenizer = load_tokenizers(recipe.world)
    tower = ClipTower(train_clip(recipe, pool, clip_tokenizer, out, seed, device), clip_tokenizer)
    sam = train_sam(recipe.sam, pool, out, seed, device)
    model = new_glamm(tower, sam, tokenizer, seed).to(device)
    helper = PointingHelper(model.llama.config.hidden_size, world).to(device)
    train_grounding(recipe.point, model, helper, pool, out, seed, masks=False)
    train_grounding(recipe.joint, model, helper, pool, out, seed, masks=True)
    return model


def export(model: Glamm, folder: Path) -> None:
    """Save weights as float16 under the published names, CLIP in "clip", and both tokenizers.

    ``model`` itself becomes float16: score what was exported, not what was trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(
        json.dumps(glamm_config(model.tokenizer.vocab_size), indent=1) + "\n"
    )
    model.to(torch.float16)
    parts: dict[str, nn.Module] = {name: getattr(model, name) for name in NAMES.components}
    save_checkpoint(NAMES, parts, folder)
    model.tower.clip.save_pretrained(folder / "clip")
    model.tower.tokenizer.save_pretrained(folder / "clip")
