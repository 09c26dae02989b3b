"""Train small CLIPs: ``python -m litelvlm.training.trainings --out FOLDER [--stage A]``.

They are trained one after another, seed after seed. Stop at any time (Ctrl-C); the same command
goes on.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

from litelvlm import interrupts
from litelvlm.training.trainings.design import STAGES, members
from litelvlm.training.trainings.training import DONE, train_member

log = logging.getLogger(__name__)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of all trainings")
    parser.add_argument("--stage", action="append", choices=STAGES, help="stages; all if left out")
    parser.add_argument("--only", help="one cell by name")
    parser.add_argument(
        "--seeds", type=int, help="only the first so many seeds of each cell; all if left out"
    )
    parser.add_argument("--scenes", type=Path, help="rendered scenes (default: OUT/scenes)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--device",
        default="cpu",
        help="on a CPU a seed gives the same weights again, with the same library versions",
    )
    parser.add_argument("--plan", action="store_true", help="list the trainings and stop")
    arguments = parser.parse_args()
    if arguments.seeds is not None and arguments.seeds < 1:
        parser.error(f"--seeds counts the seeds of each cell, at least 1; got {arguments.seeds}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    chosen = [
        member
        for member in members(arguments.stage or STAGES, arguments.only)
        if arguments.seeds is None or member.seed < arguments.seeds
    ]
    out: Path = arguments.out
    torch.set_num_threads(arguments.threads)
    for number, member in enumerate(chosen, start=1):
        state = "done" if (out / member.name / DONE).exists() else "to do"
        log.info("%d of %d: %s (%s)", number, len(chosen), member.name, state)
        if not arguments.plan:
            train_member(
                member, out, arguments.scenes or out / "scenes", torch.device(arguments.device)
            )


def interruptible() -> int:
    """Run the command line; 130 if it was interrupted."""
    return interrupts.interruptible(main, "finished trainings and saved states are kept")


if __name__ == "__main__":
    sys.exit(interruptible())
