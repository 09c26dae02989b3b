"""Wall time and peak memory of the main job in a fresh folder: ``python benchmarks/study.py``."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from common import store


def main() -> None:
    """Run the study twice: from nothing, then resuming."""
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "study",
            "all",
            "--model",
            "embedded",
            "--data",
            "embedded",
            "--out",
            f"{folder}/runs",
        ]
        command += ["--report", f"{folder}/report"]
        for name in ("from nothing", "again"):
            start = perf_counter()
            program = Path(sys.executable).with_name("litelvlm")
            subprocess.run([program, *command], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
            times[name] = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    store(
        "study",
        {"seconds": times, "peak_memory_mib": peak, "job": "litelvlm study all, embedded model and data"},
    )


if __name__ == "__main__":
    main()
