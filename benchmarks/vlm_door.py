"""What the front door costs beside the prefill that it shortens.

Usage: ``python benchmarks/vlm_door.py``.

LLaVA-1.5-7B's shapes with random weights in bfloat16 on one CPU: CLIP ViT-L/14 at 336 pixels, 576
visual tokens and 64 words. The language model is cut to ``--layers`` layers of its 32. The prefill
of a layer is measured, and a prefill of 32 layers is taken as that of the cut model plus the
missing layers at the same cost. The door is everything that ``prune`` does apart from running the
image tower: finding placeholders, choosing, shortening the prompt and its positions.
"""

import argparse
from time import perf_counter

import torch
from common import spread, store
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration

from litelvlm import get_pruner, prune
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


def seconds(run: object, rounds: int) -> list[float]:
    """Wall time of each round, one to warm up left out."""
    times = []
    for _ in range(rounds + 1):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return times[1:]


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--budget", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = build(options.layers)
    image, words = model.config.image_token_id, torch.arange(100, 100 + WORDS)
    ids = torch.cat([words[:32], torch.full((TOKENS,), image), words[32:]])[None]
    inputs = {"input_ids": ids, "pixel_values": torch.randn(1, 3, 336, 336).bfloat16()}
    with torch.no_grad():
        made, rest = encode(model, inputs)
        features = made["image"].output
        mask = torch.ones_like(ids)

        def prefill(keep: int) -> None:
            model.base_model.language_model(
                inputs_embeds=model.get_input_embeddings()(ids[:, : keep + WORDS]),
                attention_mask=mask[:, : keep + WORDS],
                use_cache=False,
            )

        # The tower's output is at hand, so that the door alone is timed.
        def encoded(*_: object, **__: object) -> tuple[dict[str, Encoded], dict[str, Tensor]]:
            return {"image": Encoded(features, None)}, rest

        preparing.encode = encoded
        numbers: dict[str, object] = {
            "visual_tokens": TOKENS,
            "words": WORDS,
            "layers_measured": options.layers,
            "budget": options.budget,
            "dtype": "bfloat16",
        }
        door = {}
        prefills: dict[int, list[float]] = {TOKENS: [], options.budget: []}
        # Turn by turn, so that what else runs on the machine meets all alike.
        for _ in range(options.rounds):
            for keep, times in prefills.items():
                times += seconds(lambda keep=keep: prefill(keep), 1)
            for name in METHODS:
                pruned = prune(model, get_pruner(name) if name in GIVEN else name, options.budget)
                door.setdefault(name, []).extend(
                    seconds(lambda pruned=pruned: pruned._prepared(dict(inputs)), 3)
                )
        full = {
            keep: spread([t * LAYERS / options.layers for t in times])
            for keep, times in prefills.items()
        }
        numbers["prefill_seconds_for_32_layers"] = {str(k): v for k, v in full.items()}
        numbers["door_seconds"] = {name: spread(times) for name, times in door.items()}
        numbers["door_over_pruned_prefill"] = {
            name: spread(times)["median"] / full[options.budget]["median"]
            for name, times in door.items()
        }
        numbers["door_over_full_prefill"] = {
            name: spread(times)["median"] / full[TOKENS]["median"] for name, times in door.items()
        }
    store("vlm_door", numbers)


GIVEN = ("random", "divprune", "evtp_iv_like")

if __name__ == "__main__":
    main()
