"""SAM2 learns to draw what a point shows in a frame, before it has a memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Sam2VideoModel

from litelvlm.data.worlds.moving.objects import FRAMES
from litelvlm.models.sam2.decoding import every_mask, not_a_point
from litelvlm.models.sam2.frames import FrameFeatures
from litelvlm.models.sam2.memory import Memory
from litelvlm.training.glamm.sam import mask_losses
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.video_glamm.pool import ClipPool, sam_pixels
from litelvlm.training.video_glamm.sizes import SAM2
from litelvlm.training.worlds.base import SceneMeta

_OBJECTS = 4
"""Prompts for each clip."""
_OTHERS = 3  # how much more a pixel of another object counts than one of the ground
_UNSEEN = 0.1
_FACTOR = 4  # pixels of SAM2 per pixel of a mask, along one side


def point_prompt(sam: Sam2VideoModel, points: Tensor) -> Tensor:
    """SAM2's embedding [T, 1, C] of a click at each (x, y), in sides of a frame [T, 2]."""
    labels = torch.ones(len(points), 1, 1, device=points.device, dtype=torch.int64)
    places = (points * SAM2.image_size)[:, None, None]
    found: Tensor = sam.prompt_encoder._embed_points(places, labels, pad=False)
    return found[:, 0]


def features_of(sam: Sam2VideoModel, pixels: Tensor, repeats: int) -> FrameFeatures:
    """Features of one frame [B, 3, S, S] of several clips, each ``repeats`` times."""
    out = sam.get_image_features(pixels, return_dict=True)
    sizes = sam.backbone_feature_sizes
    levels = [level.repeat_interleave(repeats, 1) for level in out.fpn_hidden_states]
    fine = [
        level.permute(1, 2, 0).unflatten(-1, tuple(size))
        for level, size in zip(levels[:2], sizes, strict=False)
    ]
    return FrameFeatures((fine[0], fine[1]), levels[2], out.fpn_position_encoding[2][:, :1])


def all_masks(
    sam: Sam2VideoModel, features: FrameFeatures, image: Tensor, prompts: Tensor, several: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every mask on offer [T, M, s, s], its rating [T, M], its token [T, M, C], object scores [T].

    Args:
        sam: The model.
        features: Of the frame.
        image: Conditioned image tokens [T, C, h, w].
        prompts: Sparse prompt tokens [T, n, C].
        several: Three masks, or the single one.
    """
    sam.mask_decoder.train(not several)  # else an unstable single mask would be replaced
    return every_mask(sam, features.fine, image, prompts, several)


def target_masks(ids: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """Share of each mask pixel that an object covers, and how much the pixel counts [T, s, s].

    What other objects cover counts more: a mask must not show them all.

    Args:
        ids: Object index + 1 per pixel [T, S, S].
        objects: Index of each prompt's object [T].
    """
    own, every = (ids == objects[:, None, None] + 1).float(), (ids > 0).float()
    target, others = (F.avg_pool2d(one[:, None], _FACTOR)[:, 0] for one in (own, every - own))
    return target, 1 + _OTHERS * others


def frame_losses(
    masks: Tensor, ious: Tensor, scores: Tensor, target: Tensor, weight: Tensor, there: Tensor
) -> Losses:
    """Losses of all masks on offer, of their ratings and of the object score.

    Args:
        masks: Mask logits [T, M, s, s].
        ious: Their ratings [T, M].
        scores: Object scores [T].
        target: Share of each pixel that the object covers [T, s, s].
        weight: How much each pixel counts [T, s, s].
        there: What the object score should say, 0 or 1 [T].
    """
    wanted = target[:, None].expand_as(masks)
    parts = mask_losses(masks, wanted, weight[:, None])
    hit, truth = masks > 0, wanted > 0.5
    overlap = (hit & truth).sum((-1, -2)) / (hit | truth).sum((-1, -2)).clamp_min(1)
    parts["rating"] = 0.5 * F.mse_loss(ious.float(), overlap.float())
    parts["score"] = 0.2 * F.binary_cross_entropy_with_logits(scores.float(), there)
    return parts


def pick_objects(
    ids: Tensor, meta: Sequence[SceneMeta], unseen: float, rng: np.random.Generator
) -> Tensor:
    """Objects to prompt for in one frame of each clip [B, K]: mostly such as it shows.

    Args:
        ids: Object index + 1 per pixel of the frames [B, S, S].
        meta: Of the clips.
        unseen: Share of the clips whose prompts may mean objects that the frame does not show.
        rng: Source of every choice.
    """
    picked = torch.zeros(len(ids), _OBJECTS, dtype=torch.long)
    for row, pixels, one in zip(picked, ids.numpy(), meta, strict=True):
        every = np.arange(len(one["objects"]))
        shown = np.setdiff1d(np.unique(pixels), [0]) - 1
        few = shown if len(shown) and rng.random() > unseen else every
        row[:] = torch.from_numpy(np.resize(rng.permutation(few), _OBJECTS))
    return picked


def shown_points(ids: Tensor, centres: Tensor, objects: Tensor, rng: np.random.Generator) -> Tensor:
    """A point for each object: on a pixel of it, or where it is nearest to the frame.

    Args:
        ids: Object index + 1 per pixel [T, S, S].
        centres: (x, y) of the objects' centres in sides of a frame [T, 2].
        objects: Their indices [T].
        rng: Draws the pixel.
    """
    points = centres.clamp(0, 1)
    for number, (pixels, item) in enumerate(zip(ids.numpy(), objects.tolist(), strict=True)):
        rows, columns = np.nonzero(pixels == item + 1)
        if len(rows):
            at = rng.integers(len(rows))
            points[number] = torch.tensor([float(columns[at]), float(rows[at])]) / SAM2.image_size
    return points


def train_frames(
    stage: Stage, sam: Sam2VideoModel, pool: ClipPool, folder: Path, seed: int, device: torch.device
) -> None:
    """Train on single frames: a point gives the mask of its object, without memory."""

    def losses(step: int) -> Losses:
        rng = np.random.default_rng([seed, step])
        batch = pool[pool.indices(seed + 1, step, stage.batch)]
        frames = torch.from_numpy(rng.integers(FRAMES, size=stage.batch))
        clips = torch.arange(stage.batch)
        objects = pick_objects(batch.ids[clips, frames], batch.meta, _UNSEEN, rng).flatten()
        rows, when = clips.repeat_interleave(_OBJECTS), frames.repeat_interleave(_OBJECTS)
        ids = batch.ids[rows, when]
        points = shown_points(ids, batch.centres[rows, objects, when], objects, rng)
        features = features_of(sam, sam_pixels(batch.square[clips, frames].to(device)), _OBJECTS)
        prompts = point_prompt(sam, points.to(device))
        prompts = prompts + blur(prompts, seed, step)
        image = Memory(sam, 1).conditioned(0, features, len(prompts))
        target, weight = target_masks(ids.to(device), objects.to(device))
        several = step % 3 != 0
        own = torch.cat([not_a_point(sam, len(prompts)), prompts], 1) if several else prompts
        masks, ious, _, scores = all_masks(sam, features, image, own, several)
        return frame_losses(masks, ious, scores, target, weight, torch.ones_like(scores.float()))

    run_stage(stage, sam, losses, folder, device)
    sam.eval()


def blur(prompts: Tensor, seed: int, step: int) -> Tensor:
    """Noise for prompts: those of the language model will not be exact."""
    source = torch.Generator().manual_seed(1_000_003 * seed + step)
    return 0.1 * torch.randn(prompts.shape, generator=source).to(prompts)
