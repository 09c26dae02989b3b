"""Measure the family: ``python -m litelvlm.analysis.studies.emergence FAMILY``, with options.

Every finished training that has no rows yet is measured. ``--readers`` also trains a small
grounding model on each that has patches, and measures what pruning costs it. ``--bundle`` then
writes all rows into the package, one file for each stage.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

from litelvlm import interrupts
from litelvlm.analysis.studies.emergence.store import bundle, measure_family


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("family", type=Path, help="folder of the trainings")
    parser.add_argument("--scenes", type=Path, help="rendered scenes (default: FAMILY/scenes)")
    parser.add_argument(
        "--readers", action="store_true", help="train a reader on each and prune what it reads"
    )
    parser.add_argument("--bundle", action="store_true", help="write all rows into the package")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    files = measure_family(arguments.family, arguments.scenes, arguments.readers)
    if arguments.bundle:
        bundle(files)


def interruptible() -> int:
    """Run the command line; 130 if it was interrupted."""
    return interrupts.interruptible(main, "measured trainings are kept")


if __name__ == "__main__":
    sys.exit(interruptible())
