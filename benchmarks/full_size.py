"""Peak memory and time per stage of one picture through the full-size model.

The weights are random; the picture is taken at 576 and at 192 tokens.

Usage: ``python benchmarks/full_size.py [--device cpu] [--repeats 3]``. On a CPU in bfloat16 it
needs about 18 GB. Time and memory do not depend on the weights; the masks mean nothing and are not
kept. Prompts are cut by the bundled miniature's tokenizer, so the number of text tokens, which is
stored, differs from the published tokenizer's. Each budget is stored when it is done. On a GPU the
peak of memory is that of the budget, on a CPU that of the process so far.
"""

import argparse
import resource
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import Kept, spread, store
from PIL import Image

from litelvlm import get_pruner, load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.prompts import conversation, full_prompt

TEXT = "the man on the left"


def peak_bytes(device: torch.device) -> int:
    """Most memory held so far: of the process on a CPU, of torch on a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(model: Glamm, picture: Image.Image, repeats: int, budget: int) -> dict[str, Any]:
    """Seconds per stage at one budget, after one pass to warm up, whose times are dropped.

    A budget of all tokens means the unpruned model.
    """
    pruner = None if budget == model.n_tokens else get_pruner("litelvlm")
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    passes = [model.segment(picture, TEXT, pruner, budget).timings for _ in range(repeats + 1)][1:]
    return {
        "tokens": budget,
        "seconds": {stage: spread([made[stage] for made in passes]) for stage in passes[0]},
        "total_seconds": spread([sum(made.values()) for made in passes]),
        "peak_bytes": peak_bytes(model.device),
    }


def loaded(model: Glamm, load_seconds: float) -> dict[str, Any]:
    """What loading took."""
    weights = sum(p.nbytes for p in model.parameters()) + sum(b.nbytes for b in model.buffers())
    after_load = peak_bytes(model.device)
    return {
        "weight_bytes": weights,
        "load_seconds": load_seconds,
        "peak_bytes_after_load": after_load,
        "peak_over_weights": after_load / weights,
    }


def run(model: Glamm, load_seconds: float, repeats: int, kept: Kept) -> dict[str, Any]:
    """Everything the benchmark stores."""
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    return {
        "model": model.name,
        "dtype": str(model.dtype),
        "device": model.device.type,
        **kept("loading", partial(loaded, model, load_seconds)),
        "text_tokens": len(model.tokenizer.encode(full_prompt(conversation([TEXT])))) - 1,
        "budgets": [
            kept(f"{budget} tokens", partial(measure, model, picture, repeats, budget))
            for budget in (model.n_tokens, model.n_tokens // 3)
        ],
    }


def main() -> None:
    """Build the model, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="glamm-7b", help="another one for a dry run")
    parser.add_argument("--device", default=None, help="cpu or cuda; a GPU if there is one")
    parser.add_argument("--repeats", type=int, default=3, help="measured passes per budget")
    arguments = parser.parse_args()
    start = perf_counter()
    model = load_model(arguments.model, dtype="bfloat16", device=arguments.device, random_init=True)
    small = "" if arguments.model == "glamm-7b" else f"{arguments.model}_"
    name = f"full_size_{small}{model.device.type}"
    store(name, run(model, perf_counter() - start, arguments.repeats, Kept(name)))


if __name__ == "__main__":
    main()
