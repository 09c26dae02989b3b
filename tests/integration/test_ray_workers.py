"""Ray workers: the rows of one process, whole even when a worker dies on the way."""

import os
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from toy_job import IMAGES, Held, Tiny, compute, job_in, rows_of

from litelvlm.analysis.api import read_record, read_rows
from litelvlm.analysis.runs.workers import held
from litelvlm.analysis.runs.workers import ray as ray_workers
from litelvlm.analysis.runs.workers.ray import RayWorkers, check_ray, import_ray
from tests.warm import run_python

KILLED_RUN = """
import sys
from functools import partial
from pathlib import Path
from litelvlm.analysis.runs.workers.ray import RayWorkers
from toy_job import job_in, rows_of
folder = Path(sys.argv[1])
job = job_in(folder / "flags")
rows_of(folder / "ray", job, RayWorkers(partial(job_in, folder / "flags"), 2))
"""
"""A run with two workers, one of which is killed."""


def test_a_worker_killed_on_the_way_loses_and_duplicates_nothing(tmp_path, monkeypatch):
    # A process of its own: Ray's helpers leave sockets and children to the interpreter's exit.
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",  # a busy machine starts its helpers slowly
        "RAY_worker_niceness": "0",  # by default other tests go before the workers
    }
    done = run_python(["-c", KILLED_RUN, tmp_path], env=environment)
    assert done.returncode == 0, done.stderr
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
    worker = held.Worker(partial(job_in, tmp_path), key, torch.get_num_threads(), 0)
    rows = worker.part(2).rows
    assert rows == compute(Held(Tiny(), 7), 2).rows
    other = key.model_copy(update={"code": "d"})
    stranger = held.Worker(partial(job_in, tmp_path), other, torch.get_num_threads(), 0)
    with pytest.raises(
        ValueError,
        match="other rows than this process: code is c there and d here; give every worker",
    ):
        stranger.part(2)


def test_a_missing_ray_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(ray_workers, "find_spec", lambda name: None)
    for needing in (check_ray, import_ray):
        with pytest.raises(ValueError, match=r"pip install 'ray>="):
            needing()
