"""What `faults.py` kills: a command that can be given again, and how its results are compared."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import fault_clock
import fault_family
import fault_reproduce
import pandas as pd
from safetensors.torch import load_file

from litelvlm.analysis import cli
from litelvlm.analysis.api import SavedRun, read_rows
from litelvlm.analysis.studies import STUDIES, table

SMALL = {
    "reversal": ("reversal.shifts=8", "reversal.blobs=2", "reversal.pool=8", "reversal.donors=2"),
    "mechanism": ("mechanism.pool=8", "mechanism.neuron_images=1"),
    "sink": ("sink.random_seeds=1",),
    "sink_causal": ("sink_causal.pool=8", "sink_causal.mask_images=1"),
    "importance": ("importance.images=1",),
    "faithfulness": ("faithfulness.images=1",),
    "sweep": ("sweep.methods=[litelvlm, random]", "sweep.budgets=[48]", "sweep.seeds=2"),
    "ablations": ("ablations.images=1", "ablations.requests=[protocol]"),
    "quantisation": (
        "quantisation.images=4",
        "quantisation.precisions=[int8]",
        "quantisation.methods=[litelvlm]",
        "quantisation.budgets=[48]",
    ),
}
"""Settings that make each study short; parts of one image, so that there is much to interrupt."""
TIME = rb"\d{4}-\d\d-\d\dT[\d:+]+"
LIMITED = ("reversal", "mechanism", "sink", "sink_causal", "sweep")
IMAGES = 4
Compare = Callable[[Path, Path], list[str]]


@dataclass(frozen=True)
class Job:
    """A command that is killed and given again.

    Attributes:
        name: Of the job.
        work: Runs the command in this process for an output folder; returns the exit code.
        compare: What differs between two finished output folders.
        says: What an interrupted process prints.
        workers: Whether it has worker processes that can be killed.
        around: What must be there for all its starts, given the folder of the job.
    """

    name: str
    work: Callable[[Path], int]
    compare: Compare
    says: str = "interrupted"
    workers: bool = False
    around: Callable[[Path], AbstractContextManager[object]] = nullcontext


def study(name: str, *more: str) -> Callable[[Path], int]:
    """The command of a study in parts of one image."""
    settings = (*SMALL[name], f"{name}.chunk_size=1")
    images = ["--limit", str(IMAGES)] if name in LIMITED else []
    words = ["study", name, *images, *more, "--set", *settings]
    return lambda out: cli.main([*words, "--out", str(out)])


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


def same_reproduction(first: Path, second: Path) -> list[str]:
    """Converted weights, rows of the one run, and pages of the report but for folder and times."""
    names = [
        {path.relative_to(folder) for path in folder.glob("models/*/*.safetensors")}
        for folder in (first, second)
    ]
    pages = {path.relative_to(first) for path in first.glob("report/*.html")}
    found = [] if names[0] and names[0] == names[1] else ["converted weights: other files"]
    for name in sorted((names[0] & names[1]) | pages):
        contents = [
            re.sub(rb"%b|%b" % (re.escape(bytes(folder)), TIME), b"", (folder / name).read_bytes())
            for folder in (first, second)
        ]
        found += [] if contents[0] == contents[1] else [f"{name} differs"]
    left = [path.name for path in second.rglob("*.part")]
    return found + left + same_run(first / "runs", second / "runs") + debris(second)


def jobs() -> dict[str, Job]:
    """Every job by its name, in the order in which they run."""
    bench = ["bench", "--rounds", "3", "--warm-up", "1", "--methods", "litelvlm"]
    sweep = study("sweep")
    found = [
        *(Job(name, study(name), same_run) for name in SMALL),
        Job("efficiency", lambda out: cli.main([*bench, "--out", str(out)]), same_bench),
        Job("clock", lambda out: fault_clock.set_back(out) or sweep(out), same_run),
        Job("family", fault_family.train, same_weights),
        Job("measures", fault_family.measure, same_measures),
        Job("ray", study("sweep", "--engine", "ray"), same_run, workers=True),
        Job(
            "reproduce",
            fault_reproduce.reproduce,
            same_reproduction,
            around=fault_reproduce.serve,
        ),
    ]
    for name in STUDIES:  # whatever a start would have to import first
        table.get_study(name)
    return {job.name: job for job in found}
