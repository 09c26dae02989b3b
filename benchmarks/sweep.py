"""One shared sweep against one call per method, budget and expression.

Usage: ``python benchmarks/sweep.py [--images N]``, and with a GPU at full size
``python benchmarks/sweep.py --model glamm-7b --random-init --device cuda --images 4``.

The one-by-one path is what a user without the sweep would write: ``model.segment`` from the picture
for every method, budget and expression, and the pixel counts of its mask. Both paths are timed
image by image in turn, so that a machine that grows slow hurts both alike. Processor time is stored
beside wall time, because the machines are shared. On a GPU the weights are bfloat16, where another
batch rounds otherwise: how many counts differ is stored beside the largest difference.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time
from typing import Any

import numpy as np
from common import run, spread, within

from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import image_rows, load
from litelvlm.metrics import intersection_union

METHODS = (
    *("litelvlm", "low_similarity", "high_similarity", "trim", "cdpruner", "divprune", "scope"),
    *("fastervlm", "vispruner", "visionzip", "prumerge_plus", "holov", "evtp_iv_like", "avgpool"),
    *("bilinear", "value_norm", "cls_cosine", "centre_distance", "random(seed=0)", "uniform"),
)
CLOCKS = ("wall", "processor")
Pixels = dict[tuple[int, str, int], tuple[int, int]]
"""Intersection and union by expression, method and budget."""


def shared(context: SweepContext, index: int) -> Pixels:
    """Every method, budget and expression of an image as the sweep does it."""
    return {
        (row["sent_id"], row["method"], row["budget"]): (row["inter_px"], row["union_px"])
        for row in image_rows(context, load(context, index)).rows
    }


def one_by_one(context: SweepContext, index: int, expressions: int) -> Pixels:
    """Every method and budget as its own call from the picture."""
    sample, found = context.data[index], {}
    for expression in sample.expressions[:expressions]:
        for cell in context.cells(context.model.n_tokens):
            result = context.model.segment(
                sample.image(), expression.sent, cell.pruner, cell.budget
            )
            both = intersection_union(result.mask[0].cpu().numpy(), sample.mask(expression))
            found[expression.sent_id, cell.method, cell.budget] = (both.intersection, both.union)
    return found


def clocked(call: Callable[[], Pixels]) -> tuple[Pixels, np.ndarray]:
    """What a call found, and its wall and processor milliseconds."""
    begun = np.array([perf_counter(), process_time()])
    found = call()
    return found, 1e3 * (np.array([perf_counter(), process_time()]) - begun)


def differences(found: Pixels, expected: Pixels) -> list[int]:
    """By how many pixels the counts differ; random tokens, which one call draws anew, left out."""
    cells = [cell for cell in expected if not cell[1].startswith("random")]
    return [abs(a - b) for cell in cells for a, b in zip(found[cell], expected[cell], strict=True)]


def measure(
    model: str = "embedded",
    random_init: bool = False,
    device: str | None = None,
    images: int = 8,
    expressions: int = 1,
    batch_size: int = 24,
    methods: tuple[str, ...] = METHODS,
    minutes: float = 60.0,
) -> dict[str, Any]:
    """Time both paths, and the shared one with half of the methods.

    The last gives the cost of another method. ``expressions`` are those per image on the one-by-one
    path.
    """
    built = load_model(model, device=device, random_init=random_init)
    data, budgets = load_refer("embedded", split="val"), budget_counts(None, built.n_tokens)
    parsed = tuple(Method.parse(name) for name in methods)
    half, every = len(parsed) // 2, len(parsed)
    contexts = {
        n: SweepContext(
            built,
            data,
            Config(methods=parsed[:n], budgets=budgets, batch_size=batch_size),
            budgets,
        )
        for n in (half, every)
    }
    cells = {n: len(context.cells(built.n_tokens)) for n, context in contexts.items()}
    one, both = f"one by one, {every} methods", {n: f"shared, {n} methods" for n in contexts}
    first = replace(contexts[every], budgets=budgets[-1:])  # to warm up
    shared(first, 0), one_by_one(first, 0, 1)
    times: dict[str, list[np.ndarray]] = {name: [] for name in (*both.values(), one)}
    apart, asked = list[int](), list[int]()
    for index in within(minutes, images):
        asked.append(len(data[index].expressions))
        found: Pixels = {}
        for n, context in contexts.items():
            found, took = clocked(partial(shared, context, index))
            times[both[n]].append(took / (asked[-1] * cells[n]))
        alone, took = clocked(partial(one_by_one, contexts[every], index, expressions))
        times[one].append(took / len(alone))
        apart += differences(found, alone)
    per_row = {name: dict(zip(CLOCKS, np.array(t).T, strict=True)) for name, t in times.items()}
    whole = {
        n: np.median(per_row[both[n]]["processor"]) * cells[n] * np.mean(asked) for n in contexts
    }
    return {
        "model": built.name,
        "device": built.device.type,
        "dtype": str(built.dtype),
        "methods": every,
        "budgets": list(budgets),
        "images": len(asked),
        "milliseconds_per_row": {
            f"{name}, {clock}": spread(list(values))
            for name, clocks in per_row.items()
            for clock, values in clocks.items()
        },
        "speed_up": {
            clock: spread(list(per_row[one][clock] / per_row[both[every]][clock]))
            for clock in CLOCKS
        },
        "largest_difference_of_a_pixel_count": max(apart),
        "pixel_counts_that_differ": sum(map(bool, apart)),
        "pixel_counts": len(apart),
        "processor_milliseconds_per_image_and_additional_method": float(whole[every] - whole[half])
        / (every - half),
    }


if __name__ == "__main__":
    run(measure)
