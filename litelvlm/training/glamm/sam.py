"""Stage 2: SAM learns points and boxes from scratch, before its decoder reads the LLM's prompts."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SamModel

from litelvlm.models.glamm.masks.masker import encode_image, low_resolution_masks
from litelvlm.training.dice import dice_loss
from litelvlm.training.glamm.sizes import new_sam
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.pool import PADDING, ScenePool

_PROMPTS = 3  # objects prompted for in each scene


def object_masks(ids: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """Soft low-resolution targets and the pixels that count.

    Args:
        ids: Object ids at SAM's size [B, S, S].
        objects: Object index per prompt [B, T].

    Returns:
        Share of each low-resolution pixel the object covers [B, T, S/2, S/2], and where the image
        is [B, 1, ...].
    """
    full = (ids[:, None] == objects[..., None, None] + 1).float()
    return F.avg_pool2d(full, 2), (F.max_pool2d((ids[:, None] == PADDING).float(), 2) == 0).float()


def mask_losses(logits: Tensor, target: Tensor, valid: Tensor) -> Losses:
    """Binary cross-entropy and Dice of mask logits [B, T, h, w], and the mean IoU for the log."""
    logits = logits.float()
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    hit, truth = (logits > 0) & (valid > 0), target > 0.5
    iou = (hit & truth).sum((-1, -2)) / (hit | truth).sum((-1, -2)).clamp_min(1)
    # Objects fill about a twentieth of the image: cross-entropy is weighted up to Dice's size.
    return {
        "bce": 5 * (bce * valid).sum() / valid.expand_as(bce).sum(),
        "dice": dice_loss(logits, target, valid, smoothing=1.0).mean(),
        "_iou": iou.mean(),
    }


def pick_prompts(ids: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Objects, a random pixel inside each and its box.

    Returns:
        Object indices [B, T], points (x, y) [B, T, 2] and boxes (x0, y0, x1, y1) [B, T, 4] in SAM
        pixels.
    """
    objects = torch.zeros(len(ids), _PROMPTS, dtype=torch.long)
    points, boxes = torch.zeros(len(ids), _PROMPTS, 2), torch.zeros(len(ids), _PROMPTS, 4)
    for b, pixels in enumerate(ids.numpy()):
        present = np.setdiff1d(np.unique(pixels), [0, PADDING])
        for t, o in enumerate(rng.choice(present, _PROMPTS)):
            rows, columns = np.nonzero(pixels == o)
            at = rng.integers(len(rows))
            objects[b, t] = int(o) - 1
            points[b, t] = torch.tensor([float(columns[at]), float(rows[at])])
            boxes[b, t] = torch.tensor(
                [float(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())]
            )
    return objects, points, boxes


def point_prompt(sam: SamModel, points: Tensor) -> Tensor:
    """SAM's embedding [B, T, 1, C] of one foreground point (x, y) in SAM pixels [B, T, 2] each."""
    labels = torch.ones(*points.shape[:2], 1, device=points.device)
    return sam.prompt_encoder._embed_points(points[:, :, None], labels, pad=False)


def train_sam(
    stage: Stage, pool: ScenePool, folder: Path, seed: int, device: torch.device
) -> SamModel:
    """Train image encoder, prompt encoder and mask decoder and return them."""
    torch.manual_seed(seed)
    sam = new_sam()
    sam.train()
    nn.Module.to(sam, device)

    def losses(step: int) -> Losses:
        batch = pool[pool.indices(seed + 1, step, stage.batch)]
        rng = np.random.default_rng([seed, step])
        objects, points, boxes = pick_prompts(batch.ids, rng)
        if rng.random() < 0.3:
            jitter = torch.from_numpy(rng.normal(0, 1.5, boxes.shape)).float()
            prompts = sam.prompt_encoder._embed_boxes((boxes + jitter).to(device))
        else:
            prompts = point_prompt(sam, points.to(device))
        embeddings = encode_image(sam, batch.square.to(device))
        logits = low_resolution_masks(sam, embeddings, prompts)
        target, valid = object_masks(batch.ids.to(device), objects.to(device))
        return mask_losses(logits, target, valid)

    run_stage(stage, sam, losses, folder, device)
    sam.eval()
    return sam
