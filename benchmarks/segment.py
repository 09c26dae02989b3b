"""Latency of one ``segment`` call on the miniature, budgets interleaved.

Usage: ``python benchmarks/segment.py``.
"""

import random
from collections import defaultdict
from time import perf_counter

from common import no_options, spread, store

from litelvlm import get_pruner, load_model, load_refer

BUDGETS, ROUNDS, WARM_UP = (144, 48, 32, 16, 8), 40, 3


def main() -> None:
    """Time whole calls and their stages in random order."""
    model, data = load_model("embedded"), load_refer("embedded", split="val")
    pruner = get_pruner("litelvlm")
    order = random.Random(0)
    seconds: dict[str, list[float]] = defaultdict(list)
    for i in range(WARM_UP + ROUNDS):
        sample = data[i % len(data)]
        image, text = sample.image(), sample.expressions[0].sent
        for budget in order.sample(BUDGETS, len(BUDGETS)):
            start = perf_counter()
            result = model.segment(image, text, pruner, budget)
            if i >= WARM_UP:
                seconds[f"{budget} tokens, whole call"].append(perf_counter() - start)
                for stage, value in result.timings.items():
                    seconds[f"{budget} tokens, {stage}"].append(value)
    store(
        "segment", {"milliseconds": {k: spread([1000 * s for s in v]) for k, v in seconds.items()}}
    )


if __name__ == "__main__":
    no_options(__doc__)
    main()
