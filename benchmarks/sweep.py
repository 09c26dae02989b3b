"""One shared sweep against one call per method, budget and expression.

Usage: ``python benchmarks/sweep.py [--images N]``, and with a GPU at full size
``python benchmarks/sweep.py --model glamm-7b --random-init --device cuda --images 4``.

The one-by-one path is what a user without the sweep would write: ``model.segment`` from the picture
for every method, budget and expression, and the pixel counts of its mask. Both paths are timed
image by image in turn, so that a machine that grows slow hurts both alike. Processor time is stored
beside wall time, because the machines are shared. Each image is stored when it is done. On a GPU
the weights are bfloat16, where another batch rounds otherwise: how many counts differ is stored
beside the largest difference.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time

import numpy as np
import torch
from common import Kept, spread, store

from litelvlm import load_model, load_refer
from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.passes import SweepContext
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
Pixels = dict[tuple[int, str, int], tuple[int, int]]
"""Intersection and union by expression, method and budget."""


def shared(context: SweepContext, index: int) -> Pixels:
    """Every method, budget and expression of an image as the sweep does it."""
    rows = image_rows(context, load(context, index)).rows
    return {
        (row["sent_id"], row["method"], row["budget"]): (row["inter_px"], row["union_px"])
        for row in rows
    }


def one_by_one(context: SweepContext, index: int, expressions: int) -> Pixels:
    """Every method and budget as its own call from the picture."""
    sample, found = context.data[index], {}
    for expression in sample.expressions[:expressions]:
        for cell in context.cells(context.model.n_tokens):
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


def apart(found: Pixels, expected: Pixels) -> tuple[int, int, int]:
    """Most pixels by which a count differs, how many counts differ, and how many there are.

    Random tokens are drawn by the image's number, which one call lacks.
    """
    cells = [cell for cell in expected if not cell[1].startswith("random")]
    differ = [
        abs(a - b) for cell in cells for a, b in zip(found[cell], expected[cell], strict=True)
    ]
    return max(differ), sum(map(bool, differ)), len(differ)


def main() -> None:
    """Time both paths, and the shared one with half of the methods.

    The last gives the cost of another method.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--random-init", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="a GPU if there is one")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument(
        "--expressions", type=int, default=1, help="per image on the one-by-one path"
    )
    parser.add_argument("--batch-size", type=int, default=24)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    given = parser.parse_args()
    model = load_model(given.model, device=given.device, random_init=given.random_init)
    data, budgets = load_refer("embedded", split="val"), budget_counts(None, model.n_tokens)
    methods = tuple(Method.parse(name) for name in given.methods)
    half, whole_list = len(methods) // 2, len(methods)
    one = f"one by one, {whole_list} methods"
    contexts = {
        n: SweepContext(
            model,
            data,
            Config(methods=methods[:n], budgets=budgets, batch_size=given.batch_size),
            budgets,
        )
        for n in (half, whole_list)
    }
    alone = contexts[whole_list]
    shared(replace(alone, budgets=budgets[-1:]), 0)
    one_by_one(replace(alone, budgets=budgets[-1:]), 0, 1)
    name = "sweep" if given.model == "embedded" else f"sweep_{given.model}_{model.device.type}"
    kept = Kept(name)

    def timed(index: int) -> dict[str, object]:
        n_all = len(data[index].expressions)
        ran = {
            f"shared, {n} methods": clocks(partial(shared, c, index)) for n, c in contexts.items()
        }
        rows = {
            f"shared, {n} methods": n_all * len(c.cells(model.n_tokens))
            for n, c in contexts.items()
        }
        ran[one] = clocks(partial(one_by_one, alone, index, given.expressions))
        rows[one] = min(given.expressions, n_all) * len(alone.cells(model.n_tokens))
        took = {}
        for way, (_, (wall, processor)) in ran.items():
            took[f"{way}, wall"] = 1e3 * wall / rows[way]
            took[f"{way}, processor"] = 1e3 * processor / rows[way]
        pixels = apart(ran[f"shared, {whole_list} methods"][0], ran[one][0])
        return {"milliseconds": took, "pixels": pixels}

    images = [kept(f"image {index}", partial(timed, index)) for index in range(given.images)]
    per_row = {
        way: [image["milliseconds"][way] for image in images] for way in images[0]["milliseconds"]
    }
    largest, differ, counts = zip(*(image["pixels"] for image in images), strict=True)
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
    cells = {n: len(c.cells(model.n_tokens)) * expressions for n, c in contexts.items()}
    whole = {n: np.median(per_row[f"shared, {n} methods, processor"]) * cells[n] for n in contexts}
    store(
        name,
        {
            "model": model.name,
            "device": model.device.type,
            "dtype": str(model.dtype),
            "threads": torch.get_num_threads(),
            "methods": whole_list,
            "budgets": list(budgets),
            "images": given.images,
            "milliseconds_per_row": {way: spread(values) for way, values in per_row.items()},
            "speed_up": speed_up,
            "largest_difference_of_a_pixel_count": max(largest),
            "pixel_counts_that_differ": sum(differ),
            "pixel_counts": sum(counts),
            "processor_milliseconds_per_image_and_additional_method": (
                whole[whole_list] - whole[half]
            )
            / (whole_list - half),
        },
    )


if __name__ == "__main__":
    main()
