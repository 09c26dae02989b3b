"""Dry run of the family's training: ``python benchmarks/gpu/family.py --out FOLDER``.

A tiny member is trained twice, on pixels as those of the part are: in one go, and stopped behind
its first saved state as the time limit of a part would stop it, then trained again by the same
call. Both must end at the same weights. Stored are the step at which it went on, the losses on the
way and the largest difference; the exit status is 1 if the weights differ. The command of the part
itself lists its trainings with ``--plan``, so that a wrong option would be seen here; the exit
status is 1 if there is none.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from benchmarks.common import store
from benchmarks.gpu.parts import FAMILY
from litelvlm.training.trainings import training
from litelvlm.training.trainings.factors import Factors, Member
from litelvlm.training.trainings.pixels import PixelPool
from litelvlm.training.trainings.training import SAVE_EVERY, snapshots, train_member

STOP = SAVE_EVERY + 5
"""Step in which the time is over."""
TINY = Member(
    "dry",
    "tiny",
    Factors(
        image="pixels",
        width=16,
        text_depth=2,
        image_depth=2,
        categories=8,
        batch=4,
        steps=STOP + 15,
    ),
    0,
)
RENDERED = 16
"""Scenes that the tiny training sees; a real one renders thousands."""


@contextmanager
def few_scenes() -> Iterator[None]:
    """Let trainings render few scenes."""
    with mock.patch.object(training, "PixelPool", partial(PixelPool, count=RENDERED)):
        yield


@contextmanager
def time_over_at(step: int) -> Iterator[None]:
    """Interrupt a training in one of its steps."""
    plain = training.step_losses

    def losses(pupil, table, member, number):
        if number == step:
            raise KeyboardInterrupt
        return plain(pupil, table, member, number)

    with mock.patch.object(training, "step_losses", losses):
        yield


def saved_step(folder: Path) -> int:
    """Step of the state that a stopped training left."""
    with safe_open(folder / "training.safetensors", "pt") as file:
        return int(file.metadata()["step"])


def compare(out: Path, device: torch.device) -> dict[str, Any]:
    """Train in one go and in two."""
    whole = train_member(TINY, out / "whole", out / "scenes", device)
    try:
        with time_over_at(STOP):
            train_member(TINY, out / "stopped", out / "scenes", device)
    except KeyboardInterrupt:
        print(f"stopped in step {STOP}")
    at = saved_step(out / "stopped" / TINY.name)
    again = train_member(TINY, out / "stopped", out / "scenes", device)
    last = TINY.factors.steps
    first, second = (load_file(snapshots(folder)[last]) for folder in (whole, again))
    differences = [(first[name] - second[name]).abs() for name in first if first[name].numel()]
    log = (again / "training.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "image": TINY.factors.image,
        "steps": last,
        "stopped_in_step": STOP,
        "went_on_at_step": at,
        "largest_difference_of_a_weight": max(float(value.max()) for value in differences),
        "log": [json.loads(line) for line in log],
    }


def planned(out: Path) -> list[str]:
    """Names of the trainings that the command of the part would do."""
    command = [word.replace("{out}", str(out)) for word in FAMILY.split()]
    listed = subprocess.run(
        [sys.executable, *command, "--plan"], capture_output=True, text=True, check=True
    )
    return re.findall(r"\d+ of \d+: (\S+) \((?:to do|done)\)", listed.stderr)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=given.out) as folder:
        names = planned(Path(folder))
        with few_scenes():
            numbers = compare(Path(folder), torch.device(given.device)) | {"planned": names}
    store("family", numbers)
    if not names:
        sys.exit("the command of the part does not list a training")
    if numbers["largest_difference_of_a_weight"] or numbers["went_on_at_step"] != SAVE_EVERY:
        sys.exit("a stopped training did not go on to the same weights")


if __name__ == "__main__":
    main()
