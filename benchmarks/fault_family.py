"""The family of trainings, shrunken: two cells of 40 steps, with a saved state every 5 steps.

Usage: ``python benchmarks/fault_family.py train FOLDER``, or ``measure FOLDER``. The commands are
those of ``litelvlm.embedded.family`` and ``litelvlm.analysis.studies.emergence``; only the lengths
are changed. To measure, the trainings are made first if they are not there.
"""

import sys
from dataclasses import replace
from pathlib import Path

import common  # noqa: F401 - takes this folder's statistics.py off the front of the path

from litelvlm.analysis.studies.emergence import __main__ as measuring
from litelvlm.embedded.family import __main__ as family
from litelvlm.embedded.family import training
from litelvlm.embedded.family.design import members
from litelvlm.embedded.family.factors import Member

STEPS, SAVE_EVERY = 40, 5


def short(stages: object, only: object) -> list[Member]:
    """One cell of each of the first two stages, of few steps."""
    every = members(("A", "B"))
    first = [next(member for member in every if member.stage == stage) for stage in ("A", "B")]
    return [replace(one, factors=replace(one.factors, steps=STEPS)) for one in first]


def train(out: Path) -> None:
    """Train the cells that are not finished."""
    training.SAVE_EVERY, family.members = SAVE_EVERY, short
    sys.argv[1:] = ["--out", str(out)]
    family.main()


if __name__ == "__main__":
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "train" or len(list(folder.glob("*/done.json"))) < 2:
        train(folder)
    if what == "measure":
        sys.argv[1:] = [str(folder)]
        sys.exit(measuring.interruptible())
