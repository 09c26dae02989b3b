"""Time and memory of the clustered bootstrap of a whole sweep: ``python benchmarks/statistics.py``.

10,000 resamples of images, cIoU of 80 (method, budget) columns over 10,000 expressions, recomputed
from the sums of each resample; with as many images as RefCOCO's validation split has, and with one
image per expression, the worst case.
"""

import resource
from time import perf_counter
from typing import Any

import numpy as np
from common import run, spread

from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap, ratios

EXPRESSIONS, CELLS, RUNS = 10_000, 80, 3


def measure() -> dict[str, Any]:
    """Time both shapes on random pixel counts, whose values do not change the work."""
    rng = np.random.default_rng(0)
    union = rng.integers(1_000, 100_000, (EXPRESSIONS, CELLS)).astype(np.float64)
    inter = np.floor(union * rng.random((EXPRESSIONS, CELLS)))
    seconds = {}
    for n_images in (1_500, EXPRESSIONS):
        image_ids = np.arange(EXPRESSIONS) % n_images
        times = []
        for _ in range(RUNS):
            start = perf_counter()
            result = bootstrap(np.column_stack([inter, union]), image_ids, ratios, RESAMPLES)
            result.estimates()
            times.append(perf_counter() - start)
        seconds[f"{n_images} images"] = spread(times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    job = (
        f"{RESAMPLES} resamples of images, cIoU of {CELLS} columns "
        f"over {EXPRESSIONS} expressions, with intervals"
    )
    return {"job": job, "seconds": seconds, "peak_memory_mib": peak}


if __name__ == "__main__":
    run(measure)
