"""Train one small CLIP, from its last saved state if there is one."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from litelvlm.clip.probes.text import SOS_SHARE, TextTrace, eos_attention, trace_text
from litelvlm.data.files import atomic_write
from litelvlm.training.checkpoints import claim_folder, write_tensors
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.trainings.captions import draw_caption
from litelvlm.training.trainings.factors import Factors, Member
from litelvlm.training.trainings.pixels import PixelPool
from litelvlm.training.trainings.scenes import NAMES, SceneTable, draw_symbols
from litelvlm.training.trainings.towers import ConditionedTower, new_tower

SNAPSHOTS = (0.0, 0.125, 0.25, 0.5, 1.0)
"""Shares of the training at which the weights are kept."""
CPU = torch.device("cpu")
WARMUP = 60
SAVE_EVERY = 100
DONE, RECORD = "done.json", "member.json"
Source = Callable[[int], SceneTable]
_OWNED = 0.3  # coverage from which a patch belongs to an object
_SIGMOID_SCALE, _SIGMOID_BIAS = 10.0, -10.0
_LARGEST_SCALE = 100.0


class PairLoss(nn.Module):
    """Contrastive loss of image and text embeddings whose rows belong together.

    Args:
        kind: "softmax" (both directions over the batch) or "sigmoid" (every pair by itself).

    Source: Radford et al. (arXiv 2103.00020) and Zhai et al. (arXiv 2303.15343), section 3.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        sigmoid = kind == "sigmoid"
        self.log_scale = nn.Parameter(torch.tensor(math.log(_SIGMOID_SCALE if sigmoid else 14.3)))
        self.bias = nn.Parameter(torch.tensor(_SIGMOID_BIAS), requires_grad=sigmoid)

    def forward(
        self, image: Float[Tensor, "b p"], text: Float[Tensor, "b p"]
    ) -> tuple[Tensor, Tensor]:
        """The loss, and how often an image finds its own text in the batch."""
        scale = self.log_scale.exp().clamp(max=_LARGEST_SCALE)
        logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T
        target = torch.arange(len(logits), device=logits.device)
        found = (logits.argmax(1) == target).float().mean()
        if self.kind == "softmax":
            loss = F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
            return loss / 2, found
        signs = 2 * torch.eye(len(logits), device=logits.device) - 1
        return -F.logsigmoid(signs * (logits + self.bias)).sum() / len(logits), found


class PatchHelper(nn.Module):
    """A linear read-out of the category that covers each patch of the second-last layer.

    Args:
        width: Of the image tower.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, len(NAMES) + 1)  # the last value is the ground

    def forward(self, tokens: Float[Tensor, "b n d"], table: SceneTable) -> Tensor:
        """Cross-entropy; the ground fills most patches, so it is averaged apart and counts less."""
        share, owner = table.coverage.to(tokens.device).max(-1)
        owned = share > _OWNED
        kind = torch.from_numpy(table.category).to(tokens.device).gather(1, owner)
        logits = self.head(tokens)
        ground = torch.full_like(kind[~owned], len(NAMES))
        return F.cross_entropy(logits[owned], kind[owned]) + 0.3 * F.cross_entropy(
            logits[~owned], ground
        )


def sos_shortfall(trace: TextTrace) -> Tensor:
    """How much attention of [EOS] on [SOS] lacks to ``SOS_SHARE``, in logarithms.

    Returns:
        Mean over texts, layers and heads; 0 where all have at least that share.
    """
    weights = eos_attention(trace)[..., 0]
    return F.relu(math.log(SOS_SHARE) - weights.clamp_min(1e-12).log()).mean()


class Pupil(nn.Module):
    """All parts that learn.

    Args:
        factors: Conditions of the training.
    """

    def __init__(self, factors: Factors) -> None:
        super().__init__()
        self.tower = new_tower(factors)
        self.pair = PairLoss(factors.loss)
        self.helper = PatchHelper(factors.width) if factors.helper else None


def scene_source(member: Member, scenes: Path) -> Source:
    """From a step to its scenes; a function of the member's seed and the step alone."""
    factors = member.factors
    if factors.image != "pixels":
        return lambda step: draw_symbols(
            factors, factors.batch, np.random.default_rng([member.seed, step, 1])
        )
    pool = PixelPool(scenes, factors)
    return lambda step: pool.table(pool.indices(member.seed, step, factors.batch))


def train_member(member: Member, out: Path, scenes: Path, device: torch.device = CPU) -> Path:
    """Train a member and keep its weights at ``SNAPSHOTS``; a finished one is left as it is.

    Everything random follows from the seed and the step, so that a training that was stopped ends
    at the same weights.

    Args:
        member: Conditions and seed.
        out: Folder of all trainings; the member's folder in it is returned.
        scenes: Folder of rendered scenes, shared by all members.
        device: Where to train; the weights follow bit for bit from the seed on a CPU only.

    Raises:
        ValueError: If the member's folder holds a training under other conditions.
    """
    folder, factors = out / member.name, member.factors
    # A record that lacks a newer condition is read with its default.
    if not (folder / RECORD).exists() or read_member(folder) != member:
        claim_folder(folder, asdict(member), RECORD)
    if (folder / DONE).exists():
        return folder
    torch.manual_seed(member.seed)
    pupil = Pupil(factors).to(device).train()
    source = scene_source(member, scenes)
    stage = Stage(
        "training",
        steps=factors.steps,
        batch=factors.batch,
        lr=factors.rate,
        warmup=min(WARMUP, factors.steps // 4),
        weight_decay=factors.weight_decay,
        save_every=SAVE_EVERY,
        autocast=False,
    )

    def losses(step: int) -> Losses:
        return step_losses(pupil, source(step), member, step)

    moments = {round(share * factors.steps) for share in SNAPSHOTS}

    def keep(step: int) -> None:
        if step in moments:
            write_tensors(pupil.tower.state_dict(), folder / f"step-{step:06d}.safetensors")

    run_stage(stage, pupil, losses, folder, device, after=keep)
    (folder / "training.safetensors").unlink(missing_ok=True)
    atomic_write(folder / DONE, json.dumps({"steps": factors.steps}))
    return folder


def step_losses(pupil: Pupil, table: SceneTable, member: Member, step: int) -> Losses:
    """Losses of one step: every scene with one caption."""
    factors, rng = member.factors, np.random.default_rng([member.seed, step, 2])
    captions = [
        draw_caption(table.things(i), table.place_name(i), factors, rng) for i in range(len(table))
    ]
    trace = trace_text(pupil.tower, captions)
    text = trace.text.text_embeds
    tokens: Tensor | None = None
    if factors.image == "bag":
        embeds = pupil.tower.scene_embeds(table)
    else:
        image = pupil.tower.image(table.pixels.to(text.device))
        embeds, tokens = image.image_embeds, image.patch_tokens
    joined = step >= factors.helper_from * factors.steps
    helper = pupil.helper if joined else None
    contrast, found = pupil.pair(embeds, text)
    parts: Losses = {"contrast": contrast, "_r1": found}
    if helper is not None and tokens is not None:
        parts["helper"] = factors.helper * helper(tokens, table)
    if factors.sos_loss:
        parts["sos"] = factors.sos_loss * sos_shortfall(trace)
    return parts


def snapshots(folder: Path) -> dict[int, Path]:
    """Files of kept weights by step, in order."""
    return {
        int(path.stem.split("-")[1]): path for path in sorted(folder.glob("step-*.safetensors"))
    }


def read_member(folder: Path) -> Member:
    """Conditions and seed of a member's folder.

    Raises:
        FileNotFoundError: If it is no such folder.
    """
    path = folder / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} contains no training; make one with python -m litelvlm.training trainings"
        )
    values = json.loads(path.read_text())
    return Member(**(values | {"factors": Factors(**values["factors"])}))


def load_tower(factors: Factors, path: Path) -> ConditionedTower:
    """Read kept weights."""
    with torch.random.fork_rng(devices=[]):
        tower = new_tower(factors)
    tower.load_state_dict(load_file(path))
    return tower.eval()
