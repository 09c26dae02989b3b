"""The language side learns to point at the object that a sentence means, then to have it drawn."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Sam2VideoModel

from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.video_glamm.memory import follow
from litelvlm.training.video_glamm.pool import ClipBatch, sam_pixels
from litelvlm.training.video_glamm.reading import Reader
from litelvlm.training.video_glamm.sam2 import point_prompt

_MASKS = 2  # sentences of a clip whose masks are decoded in the joint stage
_STRETCH = 4  # frames of these masks


def first_places(batch: ClipBatch, objects: Tensor) -> Tensor:
    """Where each object is in the first frame, or is nearest to it, in sides of it [B, T, 2]."""
    rows = torch.arange(len(objects))[:, None]
    return batch.centres[rows, objects, 0].clamp(0, 1)


def train_pointing(stage: Stage, reader: Reader, goal: Tensor, folder: Path) -> None:
    """Train the language side and the video tower in place; no mask is decoded.

    Args:
        stage: Length and rate.
        reader: What is trained.
        goal: SAM2's point encoding: rates of the sines along x and y [2, C / 2].
        folder: Where the states go.
    """
    rates = goal.to(reader.device)

    def losses(step: int) -> Losses:
        read = reader.read(stage, step)
        places = first_places(read.batch, read.objects).to(reader.device)
        angles = 2 * torch.pi * (2 * places - 1) @ rates
        wanted = torch.cat([angles.sin(), angles.cos()], -1)
        prompts = reader.side.seg_head(read.seg).float()
        return read.losses | {"prompt": 4 * F.mse_loss(prompts, wanted)}

    run_stage(stage, reader.trained(), losses, folder, reader.device)
    reader.side.eval()


def train_joint(stage: Stage, reader: Reader, sam: Sam2VideoModel, folder: Path) -> None:
    """Train the language side and SAM2, but for its image encoder, on the masks of clips' starts.

    Args:
        stage: Length and rate.
        reader: The language side, which can point.
        sam: SAM2, which can follow.
        folder: Where the states go.
    """
    device = reader.device
    trained = nn.ModuleDict({"reader": reader.trained(), "sam": sam})
    sam.vision_encoder.requires_grad_(False)

    def losses(step: int) -> Losses:
        read, few = reader.read(stage, step), slice(0, _MASKS)
        objects, batch = read.objects[:, few], read.batch
        prompts = reader.side.seg_head(read.seg)
        with torch.no_grad():
            goal = point_prompt(sam, first_places(batch, read.objects).flatten(0, 1).to(device))
        parts = {
            name: value if name.startswith("_") else 0.3 * value
            for name, value in read.losses.items()
        }
        parts["prompt"] = 0.2 * F.mse_loss(prompts.flatten(0, 1).float(), goal[:, 0])
        rows = torch.arange(len(objects)).repeat_interleave(_MASKS)
        frames = [sam_pixels(batch.square[:, n].to(device)) for n in range(_STRETCH)]
        ids = batch.ids[rows, :_STRETCH].to(device)
        own = prompts[:, few].flatten(0, 1)[:, None]
        return parts | follow(sam, frames, ids, own, objects.flatten().to(device), forced=False)

    run_stage(stage, trained, losses, folder, device)
    sam.eval()
    reader.side.eval()
