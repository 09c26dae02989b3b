"""Compute, from recorded inputs, what the official code was recorded to answer.

Files and keys are the same.

Usage: ``python -m tests.parity --fixtures tests/fixtures/parity --out /tmp/parity``. Nothing is
compared here; expected values are never read, so they may be absent.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

from tests.parity import (
    glamm,
    layout,
    preprocess,
    pruner,
    refer,
    scores,
    unipixel,
    video_scores,
    videoglamm,
)

FOLDERS = {
    "pruner": pruner.compute,
    "glamm": glamm.compute,
    "refer": refer.compute,
    "preprocess": preprocess.compute,
    "scores": scores.compute,
    "layout": layout.compute,
    "metrics": video_scores.compute,
    "unipixel": unipixel.compute,
    "videoglamm": videoglamm.compute,
}


def main() -> int:
    """Run every folder that exists below ``--fixtures``."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument(
        "--fixtures", type=Path, required=True, help="folder that holds pruner/, glamm/, ..."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = [name for name in FOLDERS if (args.fixtures / name).is_dir()]
    if not found:
        parser.error(f"{args.fixtures} contains none of the folders {', '.join(FOLDERS)}")
    failed = []
    for name in found:
        out = args.out / name
        out.mkdir(parents=True, exist_ok=True)
        try:
            with torch.inference_mode():
                FOLDERS[name](args.fixtures / name, out)
        except Exception:
            # The other folders are independent: report this one, answer them, and fail at the end.
            logging.exception("%s: failed", name)
            failed.append(name)
        else:
            logging.info(
                "%s: wrote %s", name, ", ".join(sorted(path.name for path in out.iterdir()))
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
