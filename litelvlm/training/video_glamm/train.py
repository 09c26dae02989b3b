"""The five stages of the miniature VideoGLaMM one after another, and the checkpoint they make."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import Sam2VideoModel

from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.models.files import EMBEDDED
from litelvlm.models.glamm.build import load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.video_glamm.prompts import END
from litelvlm.models.video_glamm.tokenizer import Phi3Tokenizer
from litelvlm.models.video_glamm.weight_names import name_table
from litelvlm.models.weights import save_checkpoint
from litelvlm.training.checkpoints import claim_folder
from litelvlm.training.loop import Stage
from litelvlm.training.video_glamm.grounding import train_joint, train_pointing
from litelvlm.training.video_glamm.helper import Helper
from litelvlm.training.video_glamm.images import ImageTokens
from litelvlm.training.video_glamm.language import ENDS, LanguageSide, write_tokenizer
from litelvlm.training.video_glamm.memory import train_memory
from litelvlm.training.video_glamm.pool import ClipPool
from litelvlm.training.video_glamm.reading import Reader
from litelvlm.training.video_glamm.sam2 import train_frames
from litelvlm.training.video_glamm.sizes import VIDEO, config, new_sam, new_video_tower

PIECES = EMBEDDED["embedded"] / "tokenizer.model"
"""Pieces of words, as the miniature GLaMM has them."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, but for the seed.

    Attributes:
        clips: Distinct training clips.
        frames, memory, whole, point, joint: The five stages.
    """

    clips: int
    frames: Stage
    memory: Stage
    whole: Stage
    point: Stage
    joint: Stage


RECIPE = Recipe(
    clips=3000,
    frames=Stage("sam_frames", 1200, batch=12, lr=4e-4, warmup=100, autocast=False),
    memory=Stage("sam_memory", 800, batch=6, lr=3e-4, warmup=50, autocast=False),
    whole=Stage("sam_whole", 600, batch=4, lr=3e-4, warmup=30, save_every=100, autocast=False),
    point=Stage("point", 3000, batch=8, lr=8e-4, save_every=100),
    joint=Stage("joint", 800, batch=6, lr=3e-4, warmup=50, save_every=100),
)
"""Recipe of the miniature."""


@dataclass(frozen=True)
class Miniature:
    """A miniature VideoGLaMM in parts.

    Attributes:
        start: The miniature GLaMM that gives CLIP and the image projector.
        side: Language model, video tower, its projector and the [SEG] head.
        helper: Trained along with it, and no part of the checkpoint.
        sam: SAM2.
        tokenizer: Phi-3's.
    """

    start: Glamm
    side: LanguageSide
    helper: Helper
    sam: Sam2VideoModel
    tokenizer: Phi3Tokenizer


def new_miniature(folder: Path, seed: int) -> Miniature:
    """The parts before training.

    Args:
        folder: Receives the tokenizer.
        seed: Of the weights that are drawn.
    """
    start = load_model("embedded", dtype="float32", device="cpu")
    tokenizer = write_tokenizer(PIECES, folder)
    torch.manual_seed(2 * seed)
    sam = new_sam()
    torch.manual_seed(2 * seed + 1)
    side = LanguageSide(start, tokenizer, new_video_tower())
    return Miniature(start, side, Helper(), sam, tokenizer)


def train(recipe: Recipe, out: Path, scenes: Path, seed: int, device: torch.device) -> Miniature:
    """Run all stages that are not finished yet and return what was trained.

    Args:
        recipe: What to train for how long.
        out: Folder of the stages' states and logs.
        scenes: Folder of rendered clips, shared by all seeds.
        seed: Initial weights, order of the clips and every choice.
        device: Where to train.

    Raises:
        ValueError: If ``out`` holds the states of another recipe or seed.
    """
    out.mkdir(parents=True, exist_ok=True)
    claim_folder(out, {"seed": seed, **asdict(recipe)})
    parts, pool = new_miniature(out, seed), ClipPool(scenes, recipe.clips)
    images = ImageTokens(pool, parts.start)
    sam: nn.Module = parts.sam
    sam.to(device)
    train_frames(recipe.frames, parts.sam, pool, out, seed, device)
    given = parts.sam, pool, out, seed, device
    train_memory(recipe.memory, *given, stretch=4, order=3)
    train_memory(recipe.whole, *given, stretch=FRAMES, order=5)
    reader = Reader(parts.side, parts.helper, parts.tokenizer, pool, images, seed, device)
    goal = parts.sam.shared_image_embedding.positional_embedding
    train_pointing(recipe.point, reader, goal, out)
    with torch.no_grad():  # SAM2 adds to every click what says that it is one
        last = cast(nn.Linear, parts.side.seg_head[-1])
        last.bias.add_(parts.sam.prompt_encoder.point_embed.weight[1])
    train_joint(recipe.joint, reader, parts.sam, out)
    return parts


def export(parts: Miniature, folder: Path) -> None:
    """Save weights as float16 under the published names, CLIP in "clip", and the tokenizers.

    Modules become float16: score what was exported, not what was trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, side = write_tokenizer(PIECES, folder), parts.side
    ends = [tokenizer.added[text].id for text in (END, ENDS)]
    tables = {
        "config.json": config(tokenizer.size, tokenizer.added[ENDS].id),
        "generation_config.json": {"eos_token_id": ends},
    }
    for name, table in tables.items():
        (folder / name).write_text(json.dumps(table, indent=1) + "\n")
    modules: dict[str, nn.Module] = {
        "phi3": side.phi3,
        "video_tower": side.video_tower,
        "video_projector": side.video_projector,
        "image_projector": parts.start.projector,
        "seg_head": side.seg_head,
        "sam2": parts.sam,
    }
    for module in (*modules.values(), parts.start.tower.clip):
        nn.Module.to(module, "cpu", torch.float16)
    save_checkpoint(name_table(VIDEO.num_hidden_layers), modules, folder)
    parts.start.tower.clip.save_pretrained(folder / "clip")
    parts.start.tower.tokenizer.save_pretrained(folder / "clip")
