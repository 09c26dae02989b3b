"""What methods that watch an image tower cost beside that tower.

Usage: ``python benchmarks/vlm_tower.py``.

The image tower of Qwen2.5-VL-3B with random weights on one thread of a CPU: patches of 14 pixels,
four to a token, images of 336 x 336 pixels. It is cut to ``--blocks`` blocks of its 32, the last of
which attends to the whole image. A tower of 32 is taken as that many such parts. A small tower is
that of the tests, four heads of eight. Watching is a pass that remembers two blocks' states; a cue
is what a method then reads of every image of the call.
"""

from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

import torch
from common import run, spread
from transformers import PreTrainedModel, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from litelvlm.models.vlm.network import encode
from tests.tiny_vlms.models import tiny_prompt, tiny_vlm

CUES = ("received_attention", "tower_value_norm", "keys_mean", "values")
BLOCKS, SIDE = 32, 24


def build(blocks: int) -> PreTrainedModel:
    """Qwen2.5-VL with the tower of the 3B model cut short, and hardly a language model."""
    text = {
        "vocab_size": 100, "hidden_size": 2048, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 16, "num_key_value_heads": 2,
    }  # fmt: skip
    vision = {
        "depth": blocks, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "out_hidden_size": 2048, "fullatt_block_indexes": [blocks - 1], "window_size": 112,
    }  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(vision_config=vision, text_config=text)
    ).eval()


def seconds(call: Callable[[], object]) -> float:
    """Processor time of a call, after one to warm up."""
    call()
    start = process_time()
    call()
    return process_time() - start


@torch.no_grad()
def of_tower(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], parts: float, rounds: int
) -> dict[str, Any]:
    """Passes with and without watching, and each cue, turn by turn."""
    grids = inputs["image_grid_thw"]
    counts = (grids.prod(dim=1) // 4).tolist()
    times: dict[str, list[float]] = {name: [] for name in ("tower", "watched", *CUES)}

    def read(name: str) -> None:
        signals.made.clear()
        for index in range(len(counts)):
            signals.cues(counts, index)[name]()

    for _ in range(rounds):
        for name, patches in (("tower", "unknown"), ("watched", "groups")):
            times[name].append(seconds(partial(encode, model, inputs, patches)))
        signals = encode(model, inputs, "groups")[0]["image"].signals
        for name in CUES:
            times[name].append(seconds(partial(read, name)))
    medians = {name: spread(found)["median"] for name, found in times.items()}
    tower = medians["tower"] * parts
    return {
        "images": len(counts),
        "tokens_of_each": counts[0],
        "seconds": {name: spread(found) for name, found in times.items()},
        "watching_over_tower": (medians["watched"] - medians["tower"]) / tower,
        "cue_over_tower": {name: medians[name] / tower for name in CUES},
    }


def measure(blocks: int = 2, rounds: int = 3) -> dict[str, Any]:
    """One image and three, in the large tower and the small one."""
    torch.set_num_threads(1)
    large, small = build(blocks), tiny_vlm("qwen2_5_vl")
    found: dict[str, Any] = {"blocks_measured": blocks, "blocks": BLOCKS, "dtype": "float32"}
    for images in (1, 3):
        pixels = {
            "pixel_values": torch.randn(images * SIDE**2, 3 * 2 * 14 * 14),
            "image_grid_thw": torch.tensor([[1, SIDE, SIDE]] * images),
        }
        found[f"large_{images}"] = of_tower(large, pixels, BLOCKS / blocks, rounds)
        prompt = tiny_prompt("qwen2_5_vl", (images,))
        pixels = {name: prompt[name] for name in ("pixel_values", "image_grid_thw")}
        found[f"small_{images}"] = of_tower(small, pixels, 1.0, 8 * rounds)
    return found


if __name__ == "__main__":
    run(measure)
