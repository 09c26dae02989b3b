"""Time of what `make study` runs, from nothing and then resumed; peak memory of one process.

Usage: ``python benchmarks/study.py [--keep FOLDER]``.
"""

import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from common import ROOT, run


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


def measure(keep: str | None = None) -> dict[str, Any]:
    """Run the studies twice, in a folder that is to be kept (not there yet) or deleted."""
    times = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(keep or temporary)
        folder.mkdir(parents=True, exist_ok=keep is None)
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
    return {"seconds": times, "peak_memory_mib": peak, "job": shlex.join(["litelvlm", *job])}


if __name__ == "__main__":
    run(measure)
