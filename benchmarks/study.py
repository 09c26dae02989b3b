"""Time of what `make study` runs, from nothing and then resumed; peak memory of one process.

Usage: ``python benchmarks/study.py [--keep FOLDER]``.
"""

import argparse
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from common import store

ROOT = Path(__file__).parents[1]


def words_of_make() -> list[str]:
    """The arguments that `make study` gives to the command, without the folder of the report."""
    told = subprocess.run(
        ["make", "--dry-run", "study"],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.replace("\\\n", " ")
    words = shlex.split(told.splitlines()[-1])
    first = words.index("study")
    return words[first : words.index("--report", first)]


def main() -> None:
    """Run the studies twice, in the folder that is to be kept or in one that is deleted."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--keep", type=Path, help="a folder, not there yet, for the runs and the report"
    )
    kept = parser.parse_args().keep
    times = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = kept or Path(temporary)
        if kept:
            kept.mkdir(parents=True)
        job = words_of_make()
        command = [*job, "--out", f"{folder}/runs", "--report", f"{folder}/report"]
        for name in ("from nothing", "again"):
            start = perf_counter()
            program = Path(sys.executable).with_name("litelvlm")
            # Our own program.
            subprocess.run([program, *command], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            times[name] = perf_counter() - start
    # Of the largest process; workers come on top.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    store(
        "study",
        {
            "seconds": times,
            "peak_memory_mib": peak,
            "job": shlex.join(["litelvlm", *job]),
        },
    )


if __name__ == "__main__":
    main()
