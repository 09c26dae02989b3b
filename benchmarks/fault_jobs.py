"""What `faults.py` kills: commands that can be given again, and how their results are compared."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import huggingface_hub.constants as client
import pandas as pd
from common import ROOT
from safetensors import deserialize

sys.path.append(str(ROOT / "tests" / "integration"))

from loopback_hub import make_files, serving

from litelvlm.analysis import cli
from litelvlm.analysis.api import SavedRun, read_rows
from litelvlm.analysis.runs import folder as run_folder
from litelvlm.analysis.runs.origin import beginning
from litelvlm.analysis.studies import STUDIES, table
from litelvlm.analysis.studies.emergence import __main__ as measuring
from litelvlm.data import files
from litelvlm.training import __main__ as trainer
from litelvlm.training.trainings import train as training
from litelvlm.training.trainings.design import members

SMALL = {
    "reversal": ("reversal.shifts=8", "reversal.blobs=2", "reversal.pool=8", "reversal.donors=2"),
    "mechanism": ("mechanism.pool=8", "mechanism.neuron_images=1"),
    "sink": ("sink.random_seeds=1",),
    "sink_causal": ("sink_causal.budgets=[16]",),
    "importance": ("importance.images=1",),
    "faithfulness": ("faithfulness.images=1",),
    "sweep": ("sweep.methods=[litelvlm, random]", "sweep.budgets=[48]", "sweep.seeds=2"),
    "ablations": ("ablations.images=1", "ablations.requests=[protocol]"),
    "quantisation": (
        *("quantisation.images=4", "quantisation.precisions=[int8]"),
        *("quantisation.methods=[litelvlm]", "quantisation.budgets=[48]"),
    ),
}
"""Settings that make each study short; parts of one image, so that there is much to interrupt."""
LIMITED, IMAGES = ("reversal", "mechanism", "sink", "sink_causal", "sweep"), "4"
BENCH = ("bench", "--rounds", "3", "--warm-up", "1", "--methods", "litelvlm")
REPRODUCE = (
    *("reproduce", "refseg", "--splits", "refcoco/testA", "--methods", "litelvlm"),
    *("--tokens", "64", "--draws", "2", "--yes", "--device", "cpu"),
)
DAY, HOUR, WAIT = 86_400.0, 3_600.0, 0.5
STEPS, SAVE_EVERY = 40, 5
"""Length of the shrunken trainings."""
Work = Callable[[Path], int]
Compare = Callable[[Path, Path], list[str]]
_REAL = time.time


@dataclass(frozen=True)
class Job:
    """A command that is killed and given again.

    Attributes:
        work: Runs the command in this process for an output folder; returns the exit code.
        compare: What differs between two finished output folders.
        workers: Whether it has worker processes that can be killed.
        around: What must be there for all its starts, given the folder of the job.
    """

    work: Work
    compare: Compare
    workers: bool = False
    around: Callable[[Path], AbstractContextManager[object]] = nullcontext


def command(*words: str) -> Work:
    """A command of the suite."""
    return lambda out: cli.main([*words, "--out", str(out)])


def study(name: str, *more: str) -> Work:
    """The command of a study in parts of one image."""
    images = ["--limit", IMAGES] if name in LIMITED else []
    return command("study", name, *images, *more, "--set", *SMALL[name], f"{name}.chunk_size=1")


def under_a_wrong_clock(work: Work) -> Work:
    """The same, the clock set back by a day more at every start, and by an hour on the way."""

    def start(out: Path) -> int:
        note, begun = out.with_name(f"{out.name}.starts"), time.monotonic()
        days = int(note.read_text()) + 1 if note.exists() else 1
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(days))

        def clock() -> float:
            return _REAL() - days * DAY - (HOUR if time.monotonic() - begun > WAIT else 0)

        def now() -> str:
            return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")

        time.time = clock
        if files.time is not time:
            raise RuntimeError("the files of a run read another clock")
        beginning.now = run_folder.now = now
        return work(out)

    return start


def train(out: Path) -> int:
    """Train one cell of each of the first two stages of the family, of few steps."""
    every = members(("A", "B"))
    first = [next(member for member in every if member.stage == stage) for stage in ("A", "B")]
    short = [replace(one, factors=replace(one.factors, steps=STEPS)) for one in first]
    training.SAVE_EVERY, trainer.members = SAVE_EVERY, lambda stages: short
    return trainer.main(["trainings", "--out", str(out)])


def measure(out: Path) -> int:
    """Measure the trainings, which are made first if they are not there."""
    if len(list(out.glob("*/done.json"))) < 2:
        stopped = train(out)
        if stopped:
            return stopped
    return measuring.main([str(out)])


@contextmanager
def hub(folder: Path) -> Iterator[None]:
    """A hub that outlives every start; the client of each start asks it."""
    with serving(make_files(folder / "served", 6)) as served:
        client.ENDPOINT, client.HF_HUB_OFFLINE = served.url, False
        path = client.HUGGINGFACE_CO_URL_TEMPLATE.split("/", 3)[3]
        client.HUGGINGFACE_CO_URL_TEMPLATE = f"{served.url}/{path}"
        client.DOWNLOAD_CHUNK_SIZE = 65_536  # the client's pieces of 10 MB hold a whole file
        yield


def reproduce(out: Path) -> int:
    """A published table: download, conversion, study, comparison and report."""
    os.environ["LITELVLM_CACHE"] = str(out.with_name(f"{out.name}.cache"))
    return command(*REPRODUCE)(out)


def debris(folder: Path) -> list[str]:
    """What no finished command may leave."""
    left = (".incomplete", ".tmp", ".lock", ".part")
    return [f"debris {path.name}" for path in folder.rglob("*") if path.suffix in left]


def same_frames(one: pd.DataFrame, two: pd.DataFrame) -> list[str]:
    """How two tables differ, in one line."""
    try:
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    except AssertionError as error:
        return [f"rows: {str(error).splitlines()[0]}"]
    return []


def same_run(first: Path, second: Path) -> list[str]:
    """What differs between two finished runs."""
    one, two = (SavedRun(next(folder.iterdir())) for folder in (first, second))
    found = same_frames(one.rows, two.rows)
    for part in ("claims", "tables", "counts"):  # as text, where NaN equals NaN
        texts = {run.summary.model_dump_json(include={part}) for run in (one, two)}
        found += [part] if len(texts) > 1 else []
    if one.record.state != two.record.state or not two.record.complete:
        found.append(f"state {two.record.state}")
    return found + debris(second)


def same_bench(first: Path, second: Path) -> list[str]:
    """Two runs of the bench: the same measurements, and equal counts of operations."""
    one, two = (read_rows(next(folder.iterdir())) for folder in (first, second))
    one, two = (rows.assign(value=rows.value.where(rows.unit.isin(["MAC", "FLOP"])))
                for rows in (one, two))  # fmt: skip
    return same_frames(one, two) + debris(second)


def contents(path: Path, folder: Path) -> object:
    """Weights and tables by value; of pages all but times and their own folder."""
    if path.suffix == ".parquet":
        return repr(pd.read_parquet(path).to_dict("list"))
    if path.suffix == ".safetensors":
        return dict(deserialize(path.read_bytes()))
    changing = re.escape(str(folder)) + r"|\d{4}-\d\d-\d\dT[\d:+]+"
    return re.sub(changing, "", path.read_text(encoding="utf-8"))


def same_files(*patterns: str) -> Compare:
    """Compares the files of two folders that fit a pattern."""

    def compare(first: Path, second: Path) -> list[str]:
        names = [
            sorted(str(path.relative_to(folder)) for p in patterns for path in folder.glob(p))
            for folder in (first, second)
        ]
        if not names[0] or names[0] != names[1]:
            return [f"{len(names[1])} files, and {len(names[0])} undisturbed"]
        wrong = [n for n in names[0] if contents(first / n, first) != contents(second / n, second)]
        return [f"{name} differs" for name in wrong] + debris(second)

    return compare


def same_reproduction(first: Path, second: Path) -> list[str]:
    """Converted weights, pages of the report, and the one run."""
    found = same_files("models/*/*.safetensors", "report/*.html")(first, second)
    return found + same_run(first / "runs", second / "runs")


def all_jobs() -> dict[str, Job]:
    """Every job by its name, in the order in which they run."""
    for name in STUDIES:  # whatever a start would have to import first
        table.get_study(name)
    return {
        **{name: Job(study(name), same_run) for name in SMALL},
        "efficiency": Job(command(*BENCH), same_bench),
        "clock": Job(under_a_wrong_clock(study("sweep")), same_run),
        "family": Job(train, same_files("*/step-*.safetensors")),
        "measures": Job(measure, same_files("*/rows.parquet")),
        "ray": Job(study("sweep", "--engine", "ray"), same_run, workers=True),
        "reproduce": Job(reproduce, same_reproduction, around=hub),
    }
