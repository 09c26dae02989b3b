"""Peak memory and time per stage of one picture through the full-size model.

The weights are random; the picture is taken at 576 and at 192 tokens.

Usage: ``python benchmarks/full_size.py [--device cpu] [--repeats 3]``. On a CPU in bfloat16 it
needs about 18 GB. Time and memory do not depend on the weights; the masks mean nothing and are not
kept. Prompts are cut by the bundled miniature's tokenizer, so the number of text tokens, which is
stored, differs from the published tokenizer's.
"""

import argparse
import resource
from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import spread, store
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


def measure(model: Glamm, picture: Image.Image, repeats: int) -> list[dict[str, Any]]:
    """Seconds per stage for each budget, after one pass to warm up.

    A budget of all tokens means the unpruned model. The times of the first pass are dropped.
    """
    found = []
    for budget in (model.n_tokens, model.n_tokens // 3):
        pruner = None if budget == model.n_tokens else get_pruner("litelvlm")
        passes = [model.segment(picture, TEXT, pruner, budget).timings for _ in range(repeats + 1)][
            1:
        ]
        stages = {stage: spread([made[stage] for made in passes]) for stage in passes[0]}
        total = spread([sum(made.values()) for made in passes])
        row = {
            "tokens": budget,
            "seconds": stages,
            "total_seconds": total,
            "peak_bytes": peak_bytes(model.device),
        }
        found.append(row)
    return found


def run(model: Glamm, load_seconds: float, repeats: int) -> dict[str, Any]:
    """Everything the benchmark stores."""
    weights = sum(p.nbytes for p in model.parameters()) + sum(b.nbytes for b in model.buffers())
    after_load = peak_bytes(model.device)
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    text_tokens = len(model.tokenizer.encode(full_prompt(conversation([TEXT])))) - 1
    return {
        "model": model.name,
        "dtype": str(model.dtype),
        "device": model.device.type,
        "weight_bytes": weights,
        "load_seconds": load_seconds,
        "peak_bytes_after_load": after_load,
        "peak_over_weights": after_load / weights,
        "text_tokens": text_tokens,
        "budgets": measure(model, Image.fromarray(pixels), repeats),
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
    store(
        f"full_size_{small}{model.device.type}",
        run(model, perf_counter() - start, arguments.repeats),
    )


if __name__ == "__main__":
    main()
