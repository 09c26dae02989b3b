"""Two Ray workers on two cores against one process: ``python benchmarks/ray_workers.py``."""

import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

import pandas as pd
import torch
from common import store

from analysis.engine import computed_by
from analysis.ray_workers import RayWorkers
from analysis.runs import read_rows
from analysis.sweep import Config, run
from litelvlm import load_model, load_refer

CONFIG = Config(methods=("litelvlm", "uniform"), budgets=(48, 16), limit=16, chunk_size=2)


def embedded() -> tuple[object, object]:
    """Model and data of the miniature."""
    return load_model("embedded", device="cpu"), load_refer("embedded", split="val")


def main() -> None:
    """Time one process and two workers on the same images, one thread each."""
    torch.set_num_threads(1)
    model, data = embedded()
    seconds, rows = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, count in (("one process", 0), ("two workers", 2)):
            start = perf_counter()
            if count:
                with computed_by(RayWorkers(partial(embedded), count)):
                    rows[name] = read_rows(run(model, data, CONFIG, Path(folder) / name))
            else:
                rows[name] = read_rows(run(model, data, CONFIG, Path(folder) / name))
            seconds[name] = perf_counter() - start
    pd.testing.assert_frame_equal(rows["one process"], rows["two workers"], check_exact=True)
    speed_up = seconds["one process"] / seconds["two workers"]
    numbers = {"seconds": seconds, "speed_up": speed_up, "efficiency": speed_up / 2, "rows": len(rows["one process"])}
    store(
        "ray_workers", {**numbers, "rows_equal_bit_for_bit": True, "note": "start of Ray and of the workers included"}
    )


if __name__ == "__main__":
    main()
