"""Ray workers: the rows of one process, whole even when a worker dies on the way."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from litelvlm.analysis.api import read_record, read_rows
from litelvlm.analysis.runs import ray_workers
from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.runs.engine import Job, in_process, make_chunks, map_chunks
from litelvlm.analysis.runs.folder import open_run
from litelvlm.analysis.runs.ray_workers import RayWorkers, import_ray
from litelvlm.analysis.runs.record import RunKey
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.data.files import atomic_write

IMAGES = 6


@dataclass(frozen=True)
class Held:
    """What every image shares, as studies have it."""

    model: object
    data: object
    folder: str = ""


class Tiny:
    """A model that a worker loads in no time."""

    name, digest, dtype, device = "tiny", "d" * 64, torch.float32, torch.device("cpu")

    weight = 0.1


def compute(context, index):
    """Two equal rows; on the first call for image 3 the process that computes it is killed."""
    flag = Path(context.folder) / "killed"
    if index == 3 and not flag.exists():
        atomic_write(flag, str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    value = float(torch.full((100,), context.model.weight).cumsum(0)[index])
    return ItemResult([{"image": index, "value": value, "bonus": context.data} for _ in range(2)])


class NoImages(list):
    """A data set that no toy reads."""

    name = split = split_by = digest = "none"


COLUMNS = (
    Column("image", int, "Image."),
    Column("value", float, "Sum of weights."),
    Column("bonus", int, "What the data hold."),
)


def rows_of(out, job, mapper=in_process):
    with open_run(out, job.key, len(job.chunks)) as run:
        map_chunks(run, job, mapper)
    return run.folder


def job_in(folder):
    folder.mkdir(exist_ok=True)
    key = RunKey(study="toy", config={}, model={}, data={}, code="c", versions={})
    held = Held(Tiny(), 7, str(folder))
    work = Work(NoImages(), lambda index: partial(compute, held, index))
    return Job(key, make_chunks([2] * IMAGES, 1), work, COLUMNS)


def killed_run(folder):
    """Run with two workers, one of which is killed; called in a process of its own."""
    rows_of(
        folder / "ray", job_in(folder / "flags"), RayWorkers(partial(job_in, folder / "flags"), 2)
    )


def test_a_worker_killed_on_the_way_loses_and_duplicates_nothing(tmp_path, monkeypatch):
    # A process of its own: Ray's helpers leave sockets and children to the interpreter's exit.
    here = str(Path(__file__).parent)
    script = (
        "from pathlib import Path\nimport test_ray_workers as t\n"
        f"t.killed_run(Path({str(tmp_path)!r}))\n"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([here, *sys.path]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",  # a busy machine starts its helpers slowly
    }
    subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        check=True,
        capture_output=True,
        timeout=500,
    )
    killed = int((tmp_path / "flags" / "killed").read_text())
    folder = next((tmp_path / "ray").iterdir())
    assert killed != os.getpid()
    assert read_record(folder).counts.done == 2 * IMAGES
    # The flag stays, so that this process survives image 3.
    alone = rows_of(tmp_path / "alone", job_in(tmp_path / "flags"))
    pd.testing.assert_frame_equal(read_rows(folder), read_rows(alone), check_exact=True)
    # Every part is there: nothing is left to compute, so that no cluster is started.
    monkeypatch.setattr(ray_workers, "import_ray", lambda: pytest.fail("Ray was started"))
    rows_of(
        tmp_path / "ray",
        job_in(tmp_path / "flags"),
        RayWorkers(partial(job_in, tmp_path / "flags"), 2),
    )


def test_a_worker_that_would_compute_other_rows_is_refused(tmp_path):
    key = job_in(tmp_path).key
    worker = ray_workers.Worker(partial(job_in, tmp_path), key, torch.get_num_threads(), 0)
    rows = worker.part(2).rows
    assert rows == compute(Held(Tiny(), 7), 2).rows
    other = key.model_copy(update={"code": "d"})
    stranger = ray_workers.Worker(partial(job_in, tmp_path), other, torch.get_num_threads(), 0)
    with pytest.raises(
        ValueError,
        match="other rows than this process: code is c there and d here; give every node",
    ):
        stranger.part(2)


def test_a_missing_ray_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(ray_workers, "import_module", missing)
    with pytest.raises(ValueError, match=r"pip install 'ray>="):
        import_ray()
