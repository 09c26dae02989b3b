"""Peak memory and time per stage of one picture through a UniPixel of published size, by budget.

Usage: ``python benchmarks/unipixel_full_size.py [--model unipixel:3b] [--device cpu]``. The weights
are random: time and memory do not depend on them, and the masks mean nothing. Prompts are cut into
bytes, so there are several times as many text tokens as with the published tokenizer; their number
is stored. On a CPU in bfloat16 the 3B needs about 10 GB.
"""

from time import perf_counter
from typing import Any

import numpy as np
from common import peak_bytes, run, spread
from PIL import Image

from litelvlm import get_pruner, load_model
from litelvlm.models.unipixel.model import UniPixel
from litelvlm.models.unipixel.prompts import user_turn

TEXT = "the man on the left"


def stages(model: UniPixel, picture: Image.Image, share: float, repeats: int) -> dict[str, Any]:
    """Seconds per stage at one share of the tokens; 1 means unpruned."""
    method = None if share == 1 else get_pruner("random")
    budget = None if share == 1 else share
    made = [model.segment(picture, TEXT, method, budget) for _ in range(repeats)]
    kept = made[0].selection
    return {
        "share": share,
        "visual_tokens_in_llm": model.view(picture.height, picture.width).n_tokens
        if kept is None
        else len(kept),
        "seconds": {s: spread([one.timings[s] for one in made]) for s in made[0].timings},
        "total_seconds": spread([sum(one.timings.values()) for one in made]),
        "peak_bytes": peak_bytes(model.device),
    }


def measure(
    model: str = "unipixel:3b",
    device: str = "cpu",
    repeats: int = 1,
    shares: tuple[float, ...] = (1.0, 0.25),
) -> dict[str, Any]:
    """Load the model, then time one share after another; nothing is warmed up."""
    start = perf_counter()
    built = load_model(model, dtype="bfloat16", device=device, random_init=True)
    took, peak = perf_counter() - start, peak_bytes(built.device)
    if not isinstance(built, UniPixel):
        raise ValueError(f"{model} is no UniPixel; give 'unipixel:3b' or 'unipixel:7b'")
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    return {
        "model": built.name,
        "dtype": str(built.dtype),
        "device": built.device.type,
        "parameters": built.weight_bytes // 2,
        "weight_bytes": built.weight_bytes,
        "load_seconds": took,
        "peak_bytes_after_load": peak,
        "text_tokens": len(built.text_ids(user_turn(built.question(TEXT), first=True))) - 1,
        "shares": [stages(built, picture, share, repeats) for share in shares],
    }


if __name__ == "__main__":
    run(measure)
