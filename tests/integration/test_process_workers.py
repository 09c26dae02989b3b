"""Worker processes of one machine: the rows of one process, whole even when a worker dies."""

import multiprocessing
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from toy_job import IMAGES, always_killed, job_in, rows_of, seeing

from litelvlm.analysis.api import read_record, read_rows
from litelvlm.analysis.runs.engine import Job
from litelvlm.analysis.runs.workers import processes
from litelvlm.analysis.runs.workers.processes import Processes, gpus_for, import_once
from tests.warm import Command, run_python

STUDIES = ("reversal", "sink", "--limit", 4, "--set", "sink.chunk_size=2", "reversal.chunk_size=2")
"""Two studies of two parts each."""
ONE_SLEEPS = """
import sys
from functools import partial
from pathlib import Path
from litelvlm.analysis.runs.workers.processes import Processes
from toy_job import job_in, sleeping
folder = Path(sys.argv[1])
with Processes(1) as one:
    list(one.mapper(partial(sleeping, folder))([0], job_in(folder)))
"""
"""A process whose only worker sleeps."""


@pytest.fixture(scope="module", autouse=True)
def _imported_once():
    """Workers begin with what they import."""
    import_once("litelvlm.analysis.runs.workers.held")


def equal(one, other):
    """The same rows in the same order, bit for bit."""
    pd.testing.assert_frame_equal(read_rows(one), read_rows(other), check_exact=True)


def test_a_worker_killed_on_the_way_loses_and_duplicates_nothing(tmp_path):
    flags, before = tmp_path / "flags", set(multiprocessing.active_children())
    with Processes(2) as workers:
        two = rows_of(tmp_path / "two", job_in(flags), workers.mapper(partial(job_in, flags)))
        assert int((flags / "killed").read_text()) != os.getpid()
        assert read_record(two).counts.done == 2 * IMAGES
        # The flag stays, so that no process is killed any more.
        equal(two, rows_of(tmp_path / "alone", job_in(flags)))
        # Another key than the workers find: they stay, and refuse it.
        job = job_in(flags)
        other = Job(job.key.model_copy(update={"code": "d"}), job.chunks, job.work, job.columns)
        with pytest.raises(ValueError, match="code is c there and d here"):
            list(workers.mapper(partial(job_in, flags))([2], other))
    assert set(multiprocessing.active_children()) == before


@pytest.mark.parametrize(
    ("gpus", "seen"),
    [
        (("3", "5", "7"), ["3", "5", "7"]),  # one each
        (("3", "GPU-5"), ["3", "3", "GPU-5"]),  # more workers than GPUs
        ((), ["as before"] * 3),
    ],
)
def test_each_worker_sees_a_gpu_of_its_own(tmp_path, monkeypatch, gpus, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "killed").touch()
    job = job_in(tmp_path)
    with Processes(3, gpus=gpus) as three:
        done = dict(three.mapper(partial(seeing, tmp_path, "as before"))(range(IMAGES), job))
    assert set(done) == set(range(IMAGES))
    assert sorted(path.read_text() for path in tmp_path.glob("gpu-*")) == seen
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_the_gpus_of_workers_are_those_that_this_process_may_see(monkeypatch, caplog):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_for("auto") == gpus_for("cuda") == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-ab")
    assert gpus_for("auto") == ("4", "GPU-ab")
    assert gpus_for("cpu") == ()
    Processes(2, gpus=gpus_for("auto"))
    assert not caplog.records
    Processes(3, gpus=gpus_for("auto"))
    assert "3 workers share 2 GPUs" in caplog.text


def test_workers_that_always_die_end_the_run_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "RETRIES", 1)
    job = job_in(tmp_path)
    with Processes(1) as one, pytest.raises(RuntimeError, match=r"died 2 times.*fewer --workers"):
        list(one.mapper(partial(always_killed, tmp_path))([3], job))


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(tmp_path, sign):
    places = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    env = os.environ | {"PYTHONPATH": places}
    command = Command([sys.executable, "-c", ONE_SLEEPS, str(tmp_path)], env=env)
    limit = time.monotonic() + 120
    while not (tmp_path / "worker").exists() or not (tmp_path / "worker").read_text():
        assert command.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.05)
    worker = int((tmp_path / "worker").read_text())
    os.kill(command.pid, sign)
    assert command.wait(60) != 0
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < limit, "the worker is still there"
        time.sleep(0.05)


def test_studies_with_workers_have_the_rows_of_one_process(tmp_path):
    # The last bits of a sum depend on how many threads share it: one in every process.
    said, runs, env = {}, {}, os.environ | {"OMP_NUM_THREADS": "1"}
    for name, options in (("one", ()), ("two", ("--workers", 2))):
        asked = [*STUDIES, "--out", tmp_path / name, *options]
        done = run_python(["-m", "litelvlm.analysis", "study", *asked], env=env)
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout.replace(str(tmp_path / name), "OUT")
        runs[name] = sorted(path for path in (tmp_path / name).iterdir() if path.is_dir())
    assert said["one"] == said["two"]
    assert [run.name for run in runs["one"]] == [run.name for run in runs["two"]]
    for one, two in zip(runs["one"], runs["two"], strict=True):
        equal(one, two)
