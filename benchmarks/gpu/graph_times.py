"""What CUDA graphs save: an image encoded, and a whole call with a given answer, at each budget.

``python benchmarks/gpu/graph_times.py --model glamm-7b --random-init --device cuda``. The plain
model and the recorded one share their weights and take turns in random order. Stages are timed by
the model's own watch, which waits for the device at each. The exit status is 1 if a part was never
replayed.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.common import Kept, spread, store, timing_parser
from benchmarks.gpu.compiled import timed
from benchmarks.gpu.graphs import counts, never_replayed, pair
from litelvlm import get_pruner
from litelvlm.models.base import Grounding
from litelvlm.models.glamm.model import Glamm

TEXT = "the man on the left"
REPEATS = 3
"""Calls until a shape is replayed: plain, recorded, replayed."""


def call(model: Glamm, picture: Image.Image, budget: int) -> Grounding:
    """A whole call with a given answer; no pruner at the budget of all tokens."""
    pruner = None if budget == model.n_tokens else get_pruner("litelvlm")
    return model.segment(picture, TEXT, pruner, budget)


def kept_call(results: list[Grounding], *asked: Any) -> None:
    """The same, its result kept."""
    results.append(call(*asked))


def reserved(model: Glamm, picture: Image.Image, budgets: Sequence[int], device: str) -> int:
    """Bytes that torch holds on the GPU after every shape has come often enough; 0 elsewhere."""
    for budget in budgets:
        warm(model, picture, budget)
    if device != "cuda":
        return 0
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    return int(torch.cuda.memory_reserved())


def warm(model: Glamm, picture: Image.Image, budget: int) -> None:
    """Call until the shape is replayed."""
    for _ in range(REPEATS):
        call(model, picture, budget)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds by budget and way, and bytes held."""
    models = dict(zip(("plain", "graphs"), pair_of(given), strict=True))
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    picture, kept = Image.fromarray(pixels), Kept("graph_times")
    budgets = (models["plain"].n_tokens, *given.budgets)
    held = {
        way: kept(f"bytes, {way}", partial(reserved, model, picture, budgets, given.device))
        for way, model in models.items()
    }
    found = {
        str(budget): kept(str(budget), partial(times_of, given, models, picture, budget))
        for budget in budgets
    }
    rows = list(found.values())
    return {
        "milliseconds": {budget: row["milliseconds"] for budget, row in found.items()},
        "reserved_bytes": held,
        "calls": {budget: row["calls"] for budget, row in found.items()},
        "never_replayed": [
            stage
            for stage in rows[0]["never_replayed"]
            if all(stage in row["never_replayed"] for row in rows)
        ],
    }


def times_of(
    given: argparse.Namespace, models: dict[str, Glamm], picture: Image.Image, budget: int
) -> dict[str, Any]:
    """Milliseconds by way at one budget, and the calls that recordings answered so far."""
    times: dict[str, dict[str, list[float]]] = {way: {} for way in models}
    order = random.Random(budget)
    for model in models.values():
        warm(model, picture, budget)
    for number in range(-given.warm_up, given.rounds):
        for way in order.sample(list(models), len(models)):
            model, results = models[way], []
            encode = partial(model.encode_image, picture)
            whole = partial(kept_call, results, model, picture, budget)
            took = {"encode": timed(encode, given.device), "call": timed(whole, given.device)}
            took |= {f"stage {name}": 1e3 * s for name, s in results[0].timings.items()}
            if number >= 0:
                for part, value in took.items():
                    times[way].setdefault(part, []).append(value)
    return {
        "milliseconds": {
            way: {part: spread(values) for part, values in parts.items()}
            for way, parts in times.items()
        },
        "calls": counts(models["graphs"]),
        "never_replayed": never_replayed(models["graphs"]),
    }


def pair_of(given: argparse.Namespace) -> tuple[Glamm, Glamm]:
    """The two models that the command names."""
    return pair(given.model, given.device, random_init=given.random_init)


def main() -> None:
    """Command line."""
    parser = timing_parser(__doc__, rounds=40)
    given = parser.parse_args()
    numbers = {"model": given.model, **measure(given)}
    store("graph_times", numbers)
    if numbers["never_replayed"]:
        sys.exit(f"never replayed: {', '.join(numbers['never_replayed'])}")


if __name__ == "__main__":
    main()
