"""The family of trainings, shrunken: two cells of 40 steps, with a saved state every 5 steps.

The commands are those of ``litelvlm.training`` and
``litelvlm.analysis.studies.emergence``; only the lengths are changed.
"""

import sys
from dataclasses import replace
from pathlib import Path

from litelvlm.analysis.studies.emergence import __main__ as measuring
from litelvlm.training import __main__ as command
from litelvlm.training.trainings import train as training
from litelvlm.training.trainings.design import members
from litelvlm.training.trainings.factors import Member

STEPS, SAVE_EVERY = 40, 5


def short(stages: object, only: object) -> list[Member]:
    """One cell of each of the first two stages, of few steps."""
    every = members(("A", "B"))
    first = [next(member for member in every if member.stage == stage) for stage in ("A", "B")]
    return [replace(one, factors=replace(one.factors, steps=STEPS)) for one in first]


def train(out: Path) -> int:
    """Train the cells that are not finished."""
    training.SAVE_EVERY, command.members = SAVE_EVERY, short
    return command.main(["trainings", "--out", str(out)])


def measure(out: Path) -> int:
    """Measure the trainings, which are made first if they are not there."""
    if len(list(out.glob("*/done.json"))) < 2:
        stopped = train(out)
        if stopped:
            return stopped
    sys.argv[1:] = [str(out)]
    return measuring.interruptible()
