"""Measure trainings: ``python -m litelvlm.analysis.studies.emergence FOLDER``, with options.

Every finished training that has no rows yet is measured. ``--readers`` also trains a small
grounding model on each that has patches, and measures what pruning costs it. ``--bundle`` then
writes all rows into the package, one file for each stage.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from litelvlm import interrupts
from litelvlm.analysis.studies.emergence.store import bundle, measure_trainings


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; 130 if it was interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trainings", type=Path, help="their folder")
    parser.add_argument("--scenes", type=Path, help="rendered scenes (default: FOLDER/scenes)")
    parser.add_argument(
        "--readers", action="store_true", help="train a reader on each and prune what it reads"
    )
    parser.add_argument("--bundle", action="store_true", help="write all rows into the package")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)

    def measure() -> None:
        files = measure_trainings(given.trainings, given.scenes, given.readers)
        if given.bundle:
            bundle(files)

    return interrupts.interruptible(measure, "measured trainings are kept")


if __name__ == "__main__":
    sys.exit(main())
