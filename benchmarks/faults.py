"""Kill every study at random moments, go on with the same command, and compare the rows.

Usage: ``python benchmarks/faults.py [--kills 50] [--studies reversal sweep] [--seed 0]``.

Each study runs once undisturbed. Then its process is killed (SIGKILL, and every third time SIGINT)
at a moment drawn from the length of the undisturbed run, until its share of the kills is used up;
the last start may finish. Rows, claims and tables must be equal, no debris may be left, and an
interrupted process must exit with 130. One that had finished its work, and was only closing down,
ends by the signal itself.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import pandas as pd
from common import store

from litelvlm.analysis.api import SavedRun

SMALL = {
    "reversal": ("reversal.shifts=8", "reversal.blobs=2", "reversal.pool=8", "reversal.donors=2"),
    "mechanism": ("mechanism.pool=8", "mechanism.neuron_images=1"),
    "sink": ("sink.random_seeds=1",),
    "sink_causal": ("sink_causal.pool=8", "sink_causal.mask_images=1"),
    "importance": ("importance.images=6",),
    "faithfulness": ("faithfulness.images=4",),
    "sweep": ("sweep.methods=[litelvlm, random]", "sweep.budgets=[48]", "sweep.seeds=2"),
    "ablations": ("ablations.images=4", "ablations.requests=[protocol]"),
}
"""Settings that make each study short; parts of one image, so that there is much to interrupt."""
LIMITED = ("reversal", "mechanism", "sink", "sink_causal", "sweep")


def command(study: str, out: Path) -> list[str]:
    """The command of a study in parts of one image."""
    settings = (*SMALL[study], f"{study}.chunk_size=1")
    limit = ["--limit", "8"] if study in LIMITED else []
    program = [sys.executable, "-m", "litelvlm.analysis", "study", study]
    return [*program, *limit, "--set", *settings, "--out", str(out)]


def run(study: str, out: Path, stop_after: float | None = None, kind: int = 0) -> int:
    """Run the command; stopped by a signal after some seconds if these are given."""
    started = subprocess.Popen(  # noqa: S603 - our own program
        command(study, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return started.wait(stop_after)
    except subprocess.TimeoutExpired:
        started.send_signal(kind)
        return started.wait()


def same(first: Path, second: Path) -> list[str]:
    """What differs between two finished runs."""
    one, two = (SavedRun(next(folder.iterdir())) for folder in (first, second))
    found = []
    try:
        pd.testing.assert_frame_equal(one.rows, two.rows)
    except AssertionError as error:
        found.append(f"rows: {str(error).splitlines()[0]}")
    for part in ("claims", "tables", "counts"):  # as text, where NaN equals NaN
        texts = [run.summary.model_dump_json(include={part}) for run in (one, two)]
        if texts[0] != texts[1]:
            found.append(part)
    left = [path.name for path in second.rglob("*") if path.suffix == ".incomplete"]
    return found + [f"debris {name}" for name in left]


def main() -> int:
    """Kill, go on, compare; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--studies", nargs="*", default=list(SMALL))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    results: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, study in enumerate(given.studies):
            whole, broken = Path(folder) / study / "whole", Path(folder) / study / "broken"
            start = perf_counter()
            if run(study, whole) != 0:
                raise RuntimeError(f"{study} fails without any fault")
            length = perf_counter() - start
            rest = given.kills % len(given.studies) > number
            planned = given.kills // len(given.studies) + rest
            kills, exits = 0, []
            for _ in range(planned):
                kind = signal.SIGINT if kills % 3 == 2 else signal.SIGKILL
                code = run(study, broken, draw.uniform(0.3, 1.0) * length, kind)
                kills += code != 0
                closing = code == -signal.SIGINT and any(broken.glob("*/summary.json"))
                exits.append(0 if closing else code)
            last = run(study, broken)
            wrong = [code for code in exits if code not in (0, -signal.SIGKILL, 130)]
            found = same(whole, broken) + [f"exit {code}" for code in wrong]
            found += [f"exit {last} at the end"] if last else []
            results[study] = {"seconds": length, "kills": kills, "exits": exits, "differs": found}
            print(study, results[study], flush=True)
    store(
        "faults", {"studies": results, "kills": sum(int(str(r["kills"])) for r in results.values())}
    )
    return int(any(r["differs"] for r in results.values()))


if __name__ == "__main__":
    sys.exit(main())
