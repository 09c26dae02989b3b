"""Peak memory and time per stage of one picture through the full-size model, by budget.

Usage: ``python benchmarks/full_size.py [--device cpu] [--repeats 3]``. The weights are random: time
and memory do not depend on them, and the masks mean nothing. On a CPU in bfloat16 it needs about
18 GB. Prompts are cut by the bundled miniature's tokenizer, so the number of text tokens, which is
stored, differs from the published tokenizer's. On a GPU the peak of memory is that of the budget,
on a CPU that of the process so far.
"""

from time import perf_counter
from typing import Any

import numpy as np
import torch
from common import peak_bytes, run, spread, within
from PIL import Image

from litelvlm import get_pruner, load_model
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.prompts import conversation, full_prompt

TEXT = "the man on the left"


def stages(model: Glamm, picture: Image.Image, budget: int, repeats: int, minutes: float) -> Any:
    """Seconds per stage at one budget after one pass to warm up; all tokens means unpruned."""
    pruner = None if budget == model.n_tokens else get_pruner("litelvlm")
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    model.segment(picture, TEXT, pruner, budget)
    passes = [
        model.segment(picture, TEXT, pruner, budget).timings for _ in within(minutes, repeats)
    ]
    return {
        "tokens": budget,
        "seconds": {stage: spread([made[stage] for made in passes]) for stage in passes[0]},
        "total_seconds": spread([sum(made.values()) for made in passes]),
        "peak_bytes": peak_bytes(model.device),
    }


def measure(
    model: str = "glamm-7b",
    device: str = "cuda",
    repeats: int = 3,
    budgets: tuple[int, ...] = (576, 192),
    minutes: float = 60.0,
) -> dict[str, Any]:
    """Load the model, then time one budget after another, each for its share of the minutes."""
    start = perf_counter()
    built = load_model(model, dtype="bfloat16", device=device, random_init=True)
    took, peak = perf_counter() - start, peak_bytes(built.device)
    weights = sum(p.nbytes for p in built.parameters()) + sum(b.nbytes for b in built.buffers())
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    picture, share = Image.fromarray(pixels), minutes / len(budgets)
    return {
        "model": built.name,
        "dtype": str(built.dtype),
        "device": built.device.type,
        "weight_bytes": weights,
        "load_seconds": took,
        "peak_bytes_after_load": peak,
        "peak_over_weights": peak / weights,
        "text_tokens": len(built.tokenizer.encode(full_prompt(conversation([TEXT])))) - 1,
        "budgets": [stages(built, picture, budget, repeats, share) for budget in budgets],
    }


if __name__ == "__main__":
    run(measure)
