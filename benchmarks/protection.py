"""What the protection of cues costs a sweep: with and without it, image by image in turn.

Usage: ``python benchmarks/protection.py [--images 8]``.

What the suite's own methods return is checked, and they get no copies. Methods from outside get
copies of their cues, and the settings of the process are put back after them. Both arms compute
the same rows in one process: "without" replaces the check by nothing; "outside" takes the same
methods as if they came from outside. Processor time is stored beside wall time, because the
machines are shared.
"""

from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from common import run, spread, within
from sweep import CLOCKS, METHODS, clocked, shared

from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.pruning import Pruner

ARMS = {
    "with": nullcontext,
    "without": partial(mock.patch.object, Pruner, "checked", lambda self, raw, cues, budget: raw),
    "outside": partial(mock.patch.object, Pruner, "is_foreign", True),
}


def measure(images: int = 8, minutes: float = 30.0) -> dict[str, Any]:
    """Time all arms; ratios are taken image by image."""
    model, data = load_model("embedded"), load_refer("embedded", split="val")
    budgets = budget_counts(None, model.n_tokens)
    methods = tuple(Method.parse(name) for name in METHODS)
    context = SweepContext(model, data, Config(methods=methods, budgets=budgets), budgets)
    shared(context, 0)  # to warm up
    times: dict[str, list[np.ndarray]] = {name: [] for name in ARMS}
    differing = 0
    for index in within(minutes, images):
        found = {}
        for name in np.roll([*ARMS], index):  # none is always first
            with ARMS[name]():
                found[name], took = clocked(partial(shared, context, index))
            times[name].append(took)
        differing += sum(found[name] != found["with"] for name in ARMS)
    per_clock = {
        name: dict(zip(CLOCKS, np.array(values).T, strict=True)) for name, values in times.items()
    }
    return {
        "model": model.name,
        "methods": len(methods),
        "budgets": list(budgets),
        "images": len(times["with"]),
        "milliseconds_per_image": {
            f"{name}, {clock}": spread(list(values))
            for name, clocks in per_clock.items()
            for clock, values in clocks.items()
        },
        "ratio_to_without": {
            f"{name}, {clock}": spread(list(per_clock[name][clock] / per_clock["without"][clock]))
            for name in ("with", "outside")
            for clock in CLOCKS
        },
        "images_whose_pixel_counts_differ": differing,
    }


if __name__ == "__main__":
    run(measure)
