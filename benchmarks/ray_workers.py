"""Two Ray workers on two cores against one process.

Usage: ``python benchmarks/ray_workers.py [--images N]``.

Both compute the same parts of a sweep with one thread per process, and their rows are compared bit
for bit. Two speed-ups are stored. One is that of the whole run, with the start of Ray and of the
workers. The other is that of warm workers, from the moment when every process has finished its
first part. The machine needs as many idle cores as workers.
"""

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from common import run

from litelvlm import load_model, load_refer
from litelvlm.analysis.api import complete_run, read_rows
from litelvlm.analysis.runs.engine import Job, Mapper, PartResult, in_process, prepare
from litelvlm.analysis.runs.workers.ray import RayWorkers
from litelvlm.analysis.studies.sweep import STUDY
from litelvlm.analysis.studies.sweep.config import Config


class Timed:
    """Another mapper, and when each of its parts was done.

    Args:
        mapper: What computes the parts.

    Attributes:
        done: Seconds from the call to the end of each part.
    """

    def __init__(self, mapper: Mapper) -> None:
        self.mapper, self.done = mapper, list[float]()

    def __call__(self, parts: Sequence[int], job: Job) -> Iterator[tuple[int, PartResult]]:
        """The other mapper's parts."""
        start = perf_counter()
        for finished in self.mapper(parts, job):
            self.done.append(perf_counter() - start)
            yield finished

    def warm_rate(self, workers: int) -> float:
        """Parts per second once every worker has finished one."""
        return (len(self.done) - workers) / (self.done[-1] - self.done[workers - 1])


def embedded() -> tuple[object, object]:
    """Model and data of the miniature."""
    return load_model("embedded", device="cpu"), load_refer("embedded", split="val")


def embedded_job(config: Config) -> Job:
    """A worker's own sweep of the miniature."""
    return prepare(STUDY, *embedded(), config)


def measure(images: int = 48, images_per_part: int = 4, workers: int = 2) -> dict[str, Any]:
    """Time one process and several workers on the same images."""
    torch.set_num_threads(1)
    config = Config(limit=images, chunk_size=images_per_part)
    if images < 2 * workers * images_per_part:
        raise ValueError(
            f"{images} images are too few: every worker needs two parts of {images_per_part}"
        )
    model, data = embedded()
    mappers = {
        1: Timed(in_process),
        workers: Timed(RayWorkers(partial(embedded_job, config), workers)),
    }
    seconds, rows = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for count, mapper in mappers.items():
            start = perf_counter()
            out = Path(folder) / str(count)
            rows[count] = read_rows(complete_run(STUDY, model, data, config, out, mapper=mapper))
            seconds[count] = perf_counter() - start
    one, several = mappers.values()
    pd.testing.assert_frame_equal(*rows.values(), check_exact=True)
    whole = seconds[1] / seconds[workers]
    warm = several.warm_rate(workers) / one.warm_rate(1)
    return {
        "images": images,
        "images_per_part": images_per_part,
        "workers": workers,
        "rows": len(rows[1]),
        "rows_equal_bit_for_bit": True,
        "seconds_of_the_run": seconds,
        "seconds_to_the_first_part": {count: mapper.done[0] for count, mapper in mappers.items()},
        "whole_run": {"speed_up": whole, "efficiency": whole / workers},
        "warm_workers": {"speed_up": warm, "efficiency": warm / workers},
    }


if __name__ == "__main__":
    run(measure)
