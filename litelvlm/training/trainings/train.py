"""Train one small CLIP, from its last saved state if there is one."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from litelvlm.clip.probes.text import trace_text
from litelvlm.data.files import atomic_write
from litelvlm.training.checkpoints import claim_folder, write_tensors
from litelvlm.training.loop import Losses, Stage, run_stage
from litelvlm.training.trainings.captions import draw_caption
from litelvlm.training.trainings.factors import Factors, Member
from litelvlm.training.trainings.losses import PairLoss, PatchHelper, sos_shortfall
from litelvlm.training.trainings.pixels import PixelPool
from litelvlm.training.trainings.scenes import SceneTable, draw_symbols
from litelvlm.training.trainings.towers import ConditionedTower, new_tower

SNAPSHOTS = (0.0, 0.125, 0.25, 0.5, 1.0)
"""Shares of the training at which the weights are kept."""
CPU = torch.device("cpu")
WARMUP = 60
SAVE_EVERY = 100
DONE, RECORD = "done.json", "member.json"
Source = Callable[[int], SceneTable]


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
