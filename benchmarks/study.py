"""Time and peak memory of all studies from nothing, then resumed.

Usage: ``python benchmarks/study.py [--keep FOLDER]``.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from common import store


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
        command = ["study", "all", "--model", "embedded", "--data", "embedded"]
        command += ["--out", f"{folder}/runs", "--report", f"{folder}/report"]
        for name in ("from nothing", "again"):
            start = perf_counter()
            program = Path(sys.executable).with_name("litelvlm")
            # Our own program.
            subprocess.run([program, *command], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            times[name] = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    store(
        "study",
        {
            "seconds": times,
            "peak_memory_mib": peak,
            "job": "litelvlm study all, embedded model and data",
        },
    )


if __name__ == "__main__":
    main()
