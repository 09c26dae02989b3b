"""A study of six images that computes in no time, and kills the process that comes to image 3."""

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from litelvlm.analysis.runs.columns import Column
from litelvlm.analysis.runs.engine import Job, in_process, make_chunks, map_chunks
from litelvlm.analysis.runs.folder import open_run
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


def always_killed(folder):
    """A study that no worker survives."""
    (folder / "killed").unlink(missing_ok=True)
    return job_in(folder)


def sleeping(folder):
    """A study whose preparation says which process it is, and does not end."""
    (folder / "worker").write_text(str(os.getpid()))
    time.sleep(600)


def seeing(folder, before):
    """A study whose preparation says which GPU its process sees, and lasts until others began."""
    time.sleep(1)
    (folder / f"gpu-{os.getpid()}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", before))
    return job_in(folder)
