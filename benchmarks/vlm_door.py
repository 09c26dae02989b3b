"""What the front door costs beside the prefill that it shortens.

Usage: ``python benchmarks/vlm_door.py``.

LLaVA-1.5-7B's shapes with random weights in bfloat16 on one CPU: CLIP ViT-L/14 at 336 pixels, 576
visual tokens and 64 words. The language model is cut to ``--layers`` layers of its 32. The prefill
of a layer is measured, and a prefill of 32 layers is taken as that of the cut model plus the
missing layers at the same cost. The door is everything that ``prune`` does apart from running the
image tower: finding placeholders, choosing, shortening the prompt and its positions.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any
from unittest import mock

import torch
from common import run, spread
from transformers import LlavaConfig, LlavaForConditionalGeneration

from litelvlm import prune
from litelvlm.models.vlm import preparing
from litelvlm.models.vlm.network import Encoded, encode

METHODS = ("random", "divprune", "input_similarity", "evtp_iv_like")
TOKENS, WORDS, LAYERS = 576, 64, 32


def build(layers: int) -> LlavaForConditionalGeneration:
    """LLaVA-1.5-7B with fewer layers and random weights."""
    config = LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 336,
            "patch_size": 14,
            "projection_dim": 768,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 32064,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": layers,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "max_position_embeddings": 4096,
        },
    )
    torch.set_default_dtype(torch.bfloat16)
    try:
        return LlavaForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def seconds(call: Callable[[], object], rounds: int) -> list[float]:
    """Wall time of each round, one to warm up left out."""
    times = []
    for _ in range(rounds + 1):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return times[1:]


@torch.no_grad()
def measure(layers: int = 2, budget: int = 192, rounds: int = 5) -> dict[str, Any]:
    """Time prefills and the door turn by turn, so that other work meets all alike."""
    torch.set_num_threads(1)
    model = build(layers)
    image, words = model.config.image_token_id, torch.arange(100, 100 + WORDS)
    ids = torch.cat([words[:32], torch.full((TOKENS,), image), words[32:]])[None]
    inputs = {"input_ids": ids, "pixel_values": torch.randn(1, 3, 336, 336).bfloat16()}
    made, rest = encode(model, inputs)
    # The tower's output is at hand, so that the door alone is timed.
    given = {"image": Encoded(made["image"].output, None)}, rest

    def prefill(keep: int) -> None:
        model.base_model.language_model(
            inputs_embeds=model.get_input_embeddings()(ids[:, : keep + WORDS]),
            attention_mask=torch.ones_like(ids[:, : keep + WORDS]),
            use_cache=False,
        )

    door: dict[str, list[float]] = {name: [] for name in METHODS}
    prefills: dict[int, list[float]] = {TOKENS: [], budget: []}
    with mock.patch.object(preparing, "encode", return_value=given):
        for _ in range(rounds):
            for keep, times in prefills.items():
                times += seconds(partial(prefill, keep), 1)
            for name, times in door.items():
                pruned = prune(model, name, budget)
                times += seconds(
                    lambda pruned=pruned: preparing.prepare(pruned.settings, inputs), 3
                )
    scale = LAYERS / layers
    full = {keep: spread([scale * t for t in times]) for keep, times in prefills.items()}
    medians = {name: spread(times)["median"] for name, times in door.items()}
    return {
        "visual_tokens": TOKENS,
        "words": WORDS,
        "layers_measured": layers,
        "budget": budget,
        "dtype": "bfloat16",
        "prefill_seconds_for_32_layers": {str(keep): found for keep, found in full.items()},
        "door_seconds": {name: spread(times) for name, times in door.items()},
        "door_over_pruned_prefill": {n: t / full[budget]["median"] for n, t in medians.items()},
        "door_over_full_prefill": {n: t / full[TOKENS]["median"] for n, t in medians.items()},
    }


if __name__ == "__main__":
    run(measure)
