"""One training stage: its rate, its device and precision, and a saved state to resume from."""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from litelvlm.data.files import atomic_write
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

    @property
    def betas(self) -> tuple[float, float]:
        """How slowly AdamW's two moments follow."""
        return 0.9, 0.98

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine down to a hundredth."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (
            0.01 + 0.99 * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
        )


@runtime_checkable
class Engine(Protocol):
    """Device, precision and processes of a training; accelerate's ``Accelerator`` is one."""

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes states and logs."""

    def accumulate(self, *models: nn.Module) -> AbstractContextManager[object]:
        """Where one part of a step's gradient is computed."""

    def autocast(self) -> AbstractContextManager[object]:
        """Where number types may be lowered."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a part's loss, divided by the number of parts."""

    def clip_grad_norm_(self, parameters: Iterable[Tensor], max_norm: float) -> object:
        """Shorten the gradient of all parameters together."""


@dataclass(frozen=True)
class OneDevice:
    """One process, and one part a step.

    Attributes:
        device: Where losses are computed.
        low_precision: Whether bfloat16 is used where that is safe.
    """

    device: torch.device
    low_precision: bool
    is_main_process: ClassVar[bool] = True

    def accumulate(self, *models: nn.Module) -> AbstractContextManager[object]:
        """Nothing is to be done."""
        return nullcontext()

    def autocast(self) -> AbstractContextManager[object]:
        """Autocast to bfloat16, if wanted."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient."""
        loss.backward()

    def clip_grad_norm_(self, parameters: Iterable[Tensor], max_norm: float) -> object:
        """Shorten the gradient."""
        return nn.utils.clip_grad_norm_(parameters, max_norm)


def make_optimiser(stage: Stage, named: Mapping[str, nn.Parameter]) -> torch.optim.AdamW:
    """AdamW over named parameters; weight decay is for matrices only."""
    matrices = [p for p in named.values() if p.ndim > 1]
    vectors = [p for p in named.values() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.lr, betas=stage.betas, fused=True)


def run_stage(
    stage: Stage,
    model: nn.Module,
    losses: Callable[[int], Losses],
    folder: Path,
    on: torch.device | Engine,
    after: Callable[[int], None] | None = None,
    parts: int = 1,
) -> None:
    """Train ``model`` in place, from the last state in ``folder`` if there is one.

    Everything random in ``losses`` must follow from the number of the part alone; then stopping and
    going on at any saved step gives the same weights as never stopping.

    Args:
        stage: Length, rate and name.
        model: Parameters that require gradients are trained; ``losses`` closes over it.
        losses: Number of a part, counted over all steps, to named losses; those whose name starts
            with "_" are only logged.
        folder: Receives ``<name>.safetensors`` (weights and moments) and ``<name>.jsonl`` (log).
        on: Where ``losses`` computes: a device in one process, or more.
        after: Called with the number of finished steps, 0 first.
        parts: Of a step, whose gradients add up to their mean.

    Raises:
        RuntimeError: If a loss is not finite; the last saved state stays.
    """
    engine = OneDevice(on, stage.autocast) if isinstance(on, torch.device) else on
    # With several processes the model is the part "module" of another.
    named = {n.removeprefix("module."): p for n, p in model.named_parameters() if p.requires_grad}
    optimiser = make_optimiser(stage, named)
    state = folder / f"{stage.name}.safetensors"
    start = load_state(state, named, optimiser)
    log, main = folder / f"{stage.name}.jsonl", engine.is_main_process
    started = time.perf_counter()
    recent = _logged(log, start) if main else {}
    bar = tqdm(
        range(start, stage.steps),
        initial=start,
        total=stage.steps,
        desc=stage.name,
        unit="step",
        disable=not main,
    )
    if after is not None and start == 0:
        after(0)
    for step in bar:
        for group in optimiser.param_groups:
            group["lr"] = stage.rate(step)
        for part in range(step * parts, (step + 1) * parts):
            with engine.accumulate(model):
                with engine.autocast():
                    found = losses(part)
                added = [v.float() for n, v in found.items() if not n.startswith("_")]
                engine.backward(torch.stack(added).sum())
            for name, value in found.items():
                now = float(value.detach())
                if not math.isfinite(now):
                    raise RuntimeError(
                        f"{stage.name}: the loss {name!r} is {now} in step {step + 1}; lower the "
                        "learning rate, or train in float32"
                    )
                recent[name] = 0.95 * recent.get(name, now) + 0.05 * now
        engine.clip_grad_norm_(named.values(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        done = step + 1
        if main and (done % 25 == 0 or done == stage.steps):
            bar.set_postfix({k: f"{v:.3f}" for k, v in recent.items()})
            entry = {"step": done, "seconds": round(time.perf_counter() - started, 1), **recent}
            with log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        if after is not None:
            after(done)
        if main and (done % stage.save_every == 0 or done == stage.steps):
            save_state(state, named, optimiser, done)


def _logged(log: Path, start: int) -> dict[str, float]:
    """Take what comes behind the resumed step out of the log; the running means of the rest."""
    lines = log.read_text().splitlines() if log.is_file() else []
    kept = [entry for entry in map(json.loads, lines) if entry["step"] <= start]
    if len(kept) < len(lines):
        atomic_write(log, "".join(f"{json.dumps(entry)}\n" for entry in kept).encode())
    means = kept[-1] if kept else {}
    return {name: value for name, value in means.items() if name not in ("step", "seconds")}
