"""Stage 1: both CLIP towers learn contrastively, with a dense helper on the layer GLaMM reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from litelvlm.clip.hf import ClipTower
from litelvlm.training.clip_parts import new_clip
from litelvlm.training.glamm.image_tower import image_reader
from litelvlm.training.glamm.recipe import Recipe
from litelvlm.training.glamm.sizes import GRID, VISION_WIDTH, clip_config
from litelvlm.training.loop import Losses, run_stage
from litelvlm.training.pool import MAX_OBJECTS, SceneBatch, ScenePool
from litelvlm.training.worlds.base import TrainingWorld, attribute_labels

_QUICK_GELU = 1.702


class DenseHelper(nn.Module):
    """Linear read-outs of each patch state: what stands here, and where its object's centre is.

    Args:
        world: Names the attributes, their values and weights.
        width: Width of the patch states.
    """

    def __init__(self, world: TrainingWorld, width: int) -> None:
        super().__init__()
        self.values, self.weights = world.attributes, world.weights
        # Value 0 is background.
        self.heads = nn.ModuleList(nn.Linear(width, len(v) + 1) for v in self.values)
        self.centre = nn.Linear(width, 2)
        self.place = nn.Linear(width, 2)

    def losses(self, tokens: Tensor, batch: SceneBatch) -> Losses:
        """Cross-entropies of attributes and squared errors of places from patches [B, N, D]."""
        share, owner = batch.coverage.max(-1)  # [B, N]
        owned = share > 0.3
        labels = 1 + attribute_labels(batch.meta, self.values, MAX_OBJECTS).to(tokens.device)
        per_patch = (
            labels.gather(1, owner[..., None].expand(-1, -1, labels.shape[-1])) * owned[..., None]
        )
        parts = {}
        for i, head in enumerate(self.heads):
            logits, value = head(tokens).float(), per_patch[..., i]
            # Background fills nine patches of ten: it is averaged apart and counts little.
            parts[f"dense_{i}"] = self.weights[i] * (
                F.cross_entropy(logits[owned], value[owned])
                + 0.3 * F.cross_entropy(logits[~owned], value[~owned])
            )
            if i < 2:
                parts[f"_acc_{i}"] = (logits.argmax(-1) == value)[owned].float().mean()
        xy = patch_centres().to(tokens.device)  # [N, 2]
        weight = batch.coverage.transpose(1, 2)  # [B, M, N]
        centres = weight @ xy / weight.sum(-1, keepdim=True).clamp_min(1e-6)  # [B, M, 2]
        own_centre = centres.gather(1, owner[..., None].expand(-1, -1, 2))
        parts["centre"] = 2 * F.mse_loss(self.centre(tokens).float()[owned], own_centre[owned])
        parts["place"] = F.mse_loss(self.place(tokens).float(), xy.expand(len(tokens), -1, -1))
        return parts


def patch_centres() -> Tensor:
    """(x, y) of every patch centre, raster order, scaled to [-1, 1]."""
    line = (torch.arange(GRID) + 0.5) / GRID * 2 - 1
    return torch.stack([line.repeat(GRID), line.repeat_interleave(GRID)], dim=-1)


@contextmanager
def silu_twin(clip: CLIPModel) -> Iterator[None]:
    """Train with SiLU in place of quick-GELU: the same function of rescaled weights, but cheaper.

    quick_gelu(x) = x sigmoid(1.702 x) = silu(1.702 x) / 1.702: entering the block multiplies each
    MLP's first layer by 1.702 and divides its second by it, leaving undoes that.
    """
    mlps = [
        layer.mlp
        for tower in (clip.vision_model, clip.text_model)
        for layer in tower.encoder.layers
    ]
    activations = [mlp.activation_fn for mlp in mlps]

    def rescale(factor: float) -> None:
        with torch.no_grad():
            for mlp in mlps:
                mlp.fc1.weight *= factor
                mlp.fc1.bias *= factor
                mlp.fc2.weight /= factor

    rescale(_QUICK_GELU)
    for mlp in mlps:
        mlp.activation_fn = nn.SiLU()
    try:
        yield
    finally:
        for mlp, activation in zip(mlps, activations, strict=True):
            mlp.activation_fn = activation
        rescale(1 / _QUICK_GELU)


def train_clip(
    recipe: Recipe,
    pool: ScenePool,
    tokenizer: CLIPTokenizer,
    folder: Path,
    seed: int,
    device: torch.device,
) -> CLIPModel:
    """Train both towers and return them; the helper is thrown away.

    Args:
        recipe: Length and rate, and when and how much the helper counts.
        pool: Training scenes.
        tokenizer: Words of the text tower.
        folder: Where the states go.
        seed: Initial weights, order of the scenes and every choice.
        device: Where to train.
    """
    stage = recipe.clip
    torch.manual_seed(seed)
    clip = new_clip(clip_config(len(tokenizer)))
    helper = DenseHelper(pool.world, VISION_WIDTH)
    trained = nn.ModuleDict({"clip": clip, "helper": helper}).to(device).train()
    tower, read = ClipTower(clip, tokenizer), image_reader(stage.steps)

    def losses(step: int) -> Losses:
        batch = pool[pool.indices(seed, step, stage.batch)]
        rng = np.random.default_rng([seed, step])
        seen = batch.coverage.sum(1).numpy()  # in patches
        said = [
            pool.world.captions(m, pool.world.share_seen(m, seen[i]), rng)
            for i, m in enumerate(batch.meta)
        ]
        # All true captions first, then all near misses.
        texts = [text for column in zip(*said, strict=True) for text in column]
        patches, embeds = read(clip, batch.pixels.to(device))
        text = tower.text(texts).text_embeds
        scale = clip.logit_scale.exp().clamp(max=100)
        logits = scale * F.normalize(embeds.float(), dim=-1) @ F.normalize(text.float(), dim=-1).T
        target, n = torch.arange(len(said), device=device), len(said)
        parts = {
            "contrast": F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :n].T, target),
            "_r1": (logits[:, :n].argmax(1) == target).float().mean(),
        }
        if len(texts) > n:
            parts["_hard"] = (logits[target, target] > logits[target, target + n]).float().mean()
        if step < recipe.helper_from or not recipe.helper:
            return parts
        found = helper.losses(patches, batch)
        return parts | {
            name: value if name.startswith("_") else recipe.helper * value
            for name, value in found.items()
        }

    with silu_twin(clip):
        run_stage(stage, trained, losses, folder, device)
    clip.eval()
    return clip
