"""One training stage: warm-up and cosine, autocast if wanted, and a saved state to resume from."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from litelvlm.training.checkpoints import load_state, save_state

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Stage:
    """How long and how fast a stage trains.

    Attributes:
        name: Used for files and the log.
        steps: Optimiser steps.
        batch: Scenes a step.
        lr: Peak learning rate.
        warmup: Steps of linear warm-up.
        weight_decay: AdamW's, on matrices only.
        save_every: Steps between states on disk.
        autocast: Whether to compute in bfloat16 where that is safe.
    """

    name: str
    steps: int
    batch: int
    lr: float
    warmup: int = 100
    weight_decay: float = 0.02
    save_every: int = 200
    autocast: bool = True

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine down to a hundredth."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (
            0.01 + 0.99 * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
        )


def make_optimiser(stage: Stage, named: dict[str, nn.Parameter]) -> torch.optim.AdamW:
    """AdamW over named parameters; weight decay is for matrices only."""
    matrices = [p for p in named.values() if p.ndim > 1]
    vectors = [p for p in named.values() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.lr, betas=(0.9, 0.98), fused=True)


def run_stage(
    stage: Stage,
    model: nn.Module,
    losses: Callable[[int], Losses],
    folder: Path,
    device: torch.device,
    after: Callable[[int], None] | None = None,
) -> None:
    """Train ``model`` in place, from the last state in ``folder`` if there is one.

    Everything random in ``losses`` must follow from the step number alone; then stopping and going
    on at any saved step gives the same weights as never stopping.

    Args:
        stage: Length, rate and name.
        model: Parameters that require gradients are trained; ``losses`` closes over it.
        losses: Step number to named losses; those whose name starts with "_" are only logged.
        folder: Receives ``<name>.pt`` (weights and moments) and ``<name>.jsonl`` (log).
        device: Where ``losses`` computes; decides the autocast.
        after: Called with the number of finished steps, 0 first.
    """
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimiser = make_optimiser(stage, named)
    state = folder / f"{stage.name}.pt"
    start = load_state(state, model, optimiser)
    log = folder / f"{stage.name}.jsonl"
    started = time.perf_counter()
    recent: dict[str, float] = {}
    bar = tqdm(
        range(start, stage.steps), initial=start, total=stage.steps, desc=stage.name, unit="step"
    )
    if after is not None and start == 0:
        after(0)
    for step in bar:
        for group in optimiser.param_groups:
            group["lr"] = stage.rate(step)
        with torch.autocast(device.type, torch.bfloat16, enabled=stage.autocast):
            parts = losses(step)
        torch.stack(
            [value.float() for name, value in parts.items() if not name.startswith("_")]
        ).sum().backward()
        torch.nn.utils.clip_grad_norm_(list(named.values()), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        for name, value in parts.items():
            now = float(value.detach())
            recent[name] = 0.95 * recent.get(name, now) + 0.05 * now
        done = step + 1
        if done % 25 == 0 or done == stage.steps:
            bar.set_postfix({k: f"{v:.3f}" for k, v in recent.items()})
            entry = {"step": done, "seconds": round(time.perf_counter() - started, 1), **recent}
            with log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        if after is not None:
            after(done)
        if done % stage.save_every == 0 or done == stage.steps:
            save_state(state, model, optimiser, done)
