"""Measure trainings: ``python -m litelvlm.analysis.studies.emergence FOLDER``, with options.

Every finished training that has no rows yet is measured.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import tyro

from litelvlm import interrupts
from litelvlm.analysis.studies.emergence import store


def measure(
    trainings: tyro.conf.Positional[Path],
    scenes: Path | None = None,
    readers: bool = False,
    bundle: bool = False,
) -> None:
    """Measure what is finished and not measured yet.

    Args:
        trainings: Their folder.
        scenes: Rendered scenes; FOLDER/scenes if left out.
        readers: Also train a small grounding model on each that has patches, and measure what
            pruning costs it.
        bundle: Put all rows into the package, one file for each stage; rows of other trainings
            stay there.
    """
    files = store.measure_trainings(trainings, scenes, readers)
    if bundle:
        store.bundle(files)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; 130 if it was interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)

    def run() -> None:
        tyro.cli(measure, args=words, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))

    return interrupts.interruptible(run, "measured trainings are kept")


if __name__ == "__main__":
    sys.exit(main())
