"""What `faults.py` kills: a command that can be given again, and how its results are compared."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from litelvlm.analysis.api import SavedRun, read_rows

HERE = Path(__file__).parent
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
PYTHON = sys.executable
Compare = Callable[[Path, Path], list[str]]


@dataclass(frozen=True)
class Job:
    """A command that is killed and given again.

    Attributes:
        name: Of the job.
        command: From the output folder to the command line.
        compare: What differs between two finished output folders.
        says: What an interrupted process prints; empty if it ends by the signal without a word.
        workers: Whether it has worker processes that can be killed.
    """

    name: str
    command: Callable[[Path], list[str]]
    compare: Compare
    says: str = "interrupted"
    workers: bool = False


def study_command(study: str, limit: int, more: Sequence[str] = ()) -> Callable[[Path], list[str]]:
    """The command of a study in parts of one image."""
    settings = (*SMALL[study], f"{study}.chunk_size=1")
    images = ["--limit", str(limit)] if study in LIMITED else []
    words = ["study", study, *images, *more, "--set", *settings]
    return lambda out: [PYTHON, "-m", "litelvlm.analysis", *words, "--out", str(out)]


def debris(folder: Path) -> list[str]:
    """What no finished command may leave."""
    found = [path for suffix in ("incomplete", "tmp", "lock") for path in folder.rglob("*")
             if path.suffix == f".{suffix}"]  # fmt: skip
    return [f"debris {path.name}" for path in found]


def same_run(first: Path, second: Path) -> list[str]:
    """What differs between two finished runs."""
    one, two = (SavedRun(next(folder.iterdir())) for folder in (first, second))
    found = same_frames(one.rows, two.rows)
    for part in ("claims", "tables", "counts"):  # as text, where NaN equals NaN
        texts = [run.summary.model_dump_json(include={part}) for run in (one, two)]
        if texts[0] != texts[1]:
            found.append(part)
    if one.record.state != two.record.state or not two.record.complete:
        found.append(f"state {two.record.state}")
    return found + debris(second)


def same_frames(one: pd.DataFrame, two: pd.DataFrame) -> list[str]:
    """How two tables differ, in one line."""
    try:
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    except AssertionError as error:
        return [f"rows: {str(error).splitlines()[0]}"]
    return []


def same_bench(first: Path, second: Path) -> list[str]:
    """Two runs of the bench: the same measurements, and equal counts of operations."""
    one, two = (read_rows(next(folder.iterdir())) for folder in (first, second))
    what = [name for name in one.columns if name != "value"]
    counted = one.unit.isin(["MAC", "FLOP"])
    found = same_frames(one[what], two[what])
    return found or same_frames(one[counted], two[counted]) + debris(second)


def same_weights(first: Path, second: Path) -> list[str]:
    """Kept weights of every training, bit for bit."""
    names = [
        sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/step-*.safetensors"))
        for folder in (first, second)
    ]
    if not names[0] or names[0] != names[1]:
        return [f"kept weights: {len(names[0])} files against {len(names[1])}"]
    found = []
    for name in names[0]:
        one, two = load_file(first / name), load_file(second / name)
        if one.keys() != two.keys() or any(not bool((one[k] == two[k]).all()) for k in one):
            found.append(f"weights of {name}")
    done = [len(list(folder.glob("*/done.json"))) for folder in (first, second)]
    return found + debris(second) + ([] if done[0] == done[1] else [f"{done[1]} finished"])


def same_measures(first: Path, second: Path) -> list[str]:
    """Rows measured of every training."""
    one, two = (
        pd.concat(pd.read_parquet(path) for path in sorted(folder.glob("*/rows.parquet")))
        for folder in (first, second)
    )
    return same_frames(one, two) + debris(second)


def jobs() -> dict[str, Job]:
    """Every job by its name, in the order in which they run."""
    found = [Job(study, study_command(study, 8), same_run) for study in SMALL]
    bench = ["bench", "--rounds", "3", "--warm-up", "1", "--methods", "litelvlm"]
    clock = study_command("sweep", 8)
    found += [
        Job(
            "efficiency",
            lambda out: [PYTHON, "-m", "litelvlm.analysis", *bench, "--out", str(out)],
            same_bench,
        ),
        Job("clock", lambda out: [PYTHON, str(HERE / "fault_clock.py"), *clock(out)[3:]], same_run),
        Job(
            "family",
            lambda out: [PYTHON, str(HERE / "fault_family.py"), "train", str(out)],
            same_weights,
            says="",
        ),
        Job(
            "measures",
            lambda out: [PYTHON, str(HERE / "fault_family.py"), "measure", str(out)],
            same_measures,
        ),
        Job(
            "ray",
            study_command("sweep", 8, ("--engine", "ray", "--workers", "2")),
            same_run,
            workers=True,
        ),
    ]
    return {job.name: job for job in found}
