"""SAM2 learns to follow an object, through short stretches of a clip and then through all of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import Sam2VideoModel

from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.models.sam2.decoding import NO_OBJECT, FrameMasks, not_a_point
from litelvlm.models.sam2.memory import Memory
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.video_glamm.pool import ClipPool, sam_pixels
from litelvlm.training.video_glamm.sam2 import (
    all_masks,
    blur,
    features_of,
    frame_losses,
    pick_objects,
    point_prompt,
    shown_points,
    target_masks,
)

_UNSEEN = 0.25
_SURE = 20.0  # mask logit of a true mask in memory


def follow(
    sam: Sam2VideoModel,
    frames: Sequence[Tensor],
    ids: Tensor,
    prompts: Tensor,
    objects: Tensor,
    forced: bool,
) -> Losses:
    """Losses along a stretch of frames: the first reads the prompts, the others what came before.

    The object score of the first frame says that the object is in the clip, since its pointer is
    all that later frames know of an object that enters later. Theirs say whether it is seen.

    Args:
        sam: The model.
        frames: SAM2's pixels [B, 3, S, S] of each frame.
        ids: Object index + 1 per pixel of the prompts' clips [T, K, S, S].
        prompts: [T, 1, C], as many for each clip.
        objects: Index of each prompt's object [T].
        forced: Whether memory holds true masks instead of the model's own.
    """
    count, memory = len(prompts), Memory(sam, FRAMES, binarised=True)
    no_click, found = not_a_point(sam, count), list[Losses]()
    for number, pixels in enumerate(frames):
        with torch.no_grad():
            features = features_of(sam, pixels, count // len(pixels))
        target, weight = target_masks(ids[:, number], objects)
        there = (
            (target.amax((-1, -2)) > 0.5).float() if number else torch.ones_like(target[:, 0, 0])
        )
        image = memory.conditioned(number, features, count)
        own = no_click if number else torch.cat([no_click, prompts], 1)
        masks, ious, tokens, scores = all_masks(sam, features, image, own, several=True)
        found.append(frame_losses(masks, ious, scores, target, weight, there))
        if number == 0:
            single, rating, _, score = all_masks(sam, features, image, prompts, several=False)
            found.append(frame_losses(single, rating, score, target, weight, there))
        best, each = ious.argmax(-1), torch.arange(count, device=ious.device)
        seen = there > 0 if forced else scores > 0
        chosen = _SURE * (2 * target - 1) if forced else masks[each, best]
        pointers = sam.object_pointer_proj(tokens[each, best])
        pointers = torch.where(seen[:, None], pointers, sam.no_object_pointer)
        kept = torch.where(seen[:, None, None], chosen.to(masks.dtype), NO_OBJECT)
        memory.remember(number, features, FrameMasks(kept, ious, scores, pointers))
    return {name: torch.stack([one[name] for one in found]).mean() for name in found[0]}


def train_memory(
    stage: Stage,
    sam: Sam2VideoModel,
    pool: ClipPool,
    folder: Path,
    seed: int,
    device: torch.device,
    *,
    stretch: int,
    order: int,
) -> None:
    """Train all but the image encoder on stretches that begin anywhere in a clip.

    Args:
        stage: Length and rate.
        sam: What is trained.
        pool: Clips.
        folder: Where the states go.
        seed: Of the training.
        device: Where to train.
        stretch: Frames that are unrolled.
        order: Tells the order of the clips, and every choice, from those of other stages.
    """
    sam.vision_encoder.requires_grad_(False)

    def losses(step: int) -> Losses:
        rng = np.random.default_rng([seed, step, order])
        batch = pool[pool.indices(seed + order, step, stage.batch)]
        first = int(rng.integers(FRAMES - stretch + 1))
        objects = pick_objects(batch.ids[:, first], batch.meta, _UNSEEN, rng)
        rows = torch.arange(len(objects)).repeat_interleave(objects.shape[1])
        objects = objects.flatten()
        ids = batch.ids[rows, first : first + stretch]
        points = shown_points(ids[:, 0], batch.centres[rows, objects, first], objects, rng)
        prompts = point_prompt(sam, points.to(device))
        prompts = prompts + blur(prompts, seed, step)
        frames = [
            sam_pixels(batch.square[:, number].to(device))
            for number in range(first, first + stretch)
        ]
        forced = bool(rng.random() < 0.5)
        return follow(sam, frames, ids.to(device), prompts, objects.to(device), forced)

    run_stage(stage, sam, losses, folder, device)
    sam.eval()
