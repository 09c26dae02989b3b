"""One shared sweep against one call per method, budget and expression.

Usage: ``python benchmarks/sweep.py [--images N]``.

The one-by-one path is what a user without the sweep would write: ``model.segment`` from the picture
for every method, budget and expression, and the pixel counts of its mask. Both paths are timed
image by image in turn, so that a machine that grows slow hurts both alike. Processor time is stored
beside wall time, because the machines are shared.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time

import numpy as np
import torch
from common import spread, store

from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.passes import Context
from litelvlm.analysis.studies.sweep.rows import image_rows, load
from litelvlm.metrics import intersection_union

METHODS = (
    "litelvlm",
    "low_similarity",
    "high_similarity",
    "trim",
    "cdpruner",
    "divprune",
    "scope",
    "fastervlm",
    "vispruner",
    "visionzip",
    "prumerge_plus",
    "holov",
    "evtp_iv_like",
    "avgpool",
    "bilinear",
    "value_norm",
    "cls_cosine",
    "centre_distance",
    "random(seed=0)",
    "uniform",
)
BUDGETS = (48, 32, 16, 8)
Pixels = dict[tuple[int, str, int], tuple[int, int]]
"""Intersection and union by expression, method and budget."""


def shared(context: Context, index: int) -> Pixels:
    """Every method, budget and expression of an image as the sweep does it."""
    rows = image_rows(context, load(context, index)).rows
    return {
        (row["sent_id"], row["method"], row["budget"]): (row["inter_px"], row["union_px"])
        for row in rows
    }


def one_by_one(context: Context, index: int, expressions: int) -> Pixels:
    """Every method and budget as its own call from the picture."""
    sample, found = context.data[index], {}
    for expression in sample.expressions[:expressions]:
        for cell in context.cells:
            mask = context.model.segment(
                sample.image(), expression.sent, cell.pruner, cell.budget
            ).mask[0]
            both = intersection_union(mask.cpu().numpy(), sample.mask(expression))
            found[expression.sent_id, cell.method, cell.budget] = (both.intersection, both.union)
    return found


def clocks(call: Callable[[], Pixels]) -> tuple[Pixels, tuple[float, float]]:
    """What a call found, and its wall and processor seconds."""
    wall, processor = perf_counter(), process_time()
    found = call()
    return found, (perf_counter() - wall, process_time() - processor)


def apart(found: Pixels, expected: Pixels) -> int:
    """Most pixels by which a count differs.

    Random tokens are drawn by the image's number, which one call lacks.
    """
    cells = [cell for cell in expected if not cell[1].startswith("random")]
    return max(
        abs(a - b) for cell in cells for a, b in zip(found[cell], expected[cell], strict=True)
    )


def main() -> None:
    """Time both paths, and the shared one with half of the methods.

    The last gives the cost of another method.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument(
        "--expressions", type=int, default=1, help="per image on the one-by-one path"
    )
    parser.add_argument("--batch-size", type=int, default=24)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    given = parser.parse_args()
    model, data = load_model("embedded"), load_refer("embedded", split="val")
    methods = tuple(Method.parse(name) for name in given.methods)
    half, whole_list = len(methods) // 2, len(methods)
    one = f"one by one, {whole_list} methods"
    contexts = {
        n: Context(
            model,
            data,
            Config(methods=methods[:n], budgets=BUDGETS, batch_size=given.batch_size),
            BUDGETS,
        )
        for n in (half, whole_list)
    }
    alone = contexts[whole_list]
    shared(replace(alone, budgets=(8,)), 0)
    one_by_one(replace(alone, budgets=(8,)), 0, 1)
    per_row: dict[str, list[float]] = {}
    pixels: list[int] = []
    for index in range(given.images):
        n_all = len(data[index].expressions)
        ran = {
            f"shared, {n} methods": clocks(partial(shared, c, index)) for n, c in contexts.items()
        }
        rows = {f"shared, {n} methods": n_all * len(c.cells) for n, c in contexts.items()}
        ran[one] = clocks(partial(one_by_one, alone, index, given.expressions))
        pixels.append(apart(ran[f"shared, {whole_list} methods"][0], ran[one][0]))
        rows[one] = min(given.expressions, n_all) * len(alone.cells)
        for name, (_, (wall, processor)) in ran.items():
            per_row.setdefault(f"{name}, wall", []).append(1e3 * wall / rows[name])
            per_row.setdefault(f"{name}, processor", []).append(1e3 * processor / rows[name])
    speed_up = {
        clock: spread(
            list(
                np.divide(
                    per_row[f"{one}, {clock}"],
                    per_row[f"shared, {whole_list} methods, {clock}"],
                )
            )
        )
        for clock in ("wall", "processor")
    }
    expressions = float(np.mean([len(data[i].expressions) for i in range(given.images)]))
    cells = {n: len(c.cells) * expressions for n, c in contexts.items()}
    whole = {n: np.median(per_row[f"shared, {n} methods, processor"]) * cells[n] for n in contexts}
    store(
        "sweep",
        {
            "threads": torch.get_num_threads(),
            "methods": whole_list,
            "budgets": list(BUDGETS),
            "images": given.images,
            "milliseconds_per_row": {name: spread(values) for name, values in per_row.items()},
            "speed_up": speed_up,
            "largest_difference_of_a_pixel_count": max(pixels),
            "processor_milliseconds_per_image_and_additional_method": (
                whole[whole_list] - whole[half]
            )
            / (whole_list - half),
        },
    )


if __name__ == "__main__":
    main()
