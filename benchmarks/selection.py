"""Time of every selector at full size beside one CLIP image forward.

Usage: ``python benchmarks/selection.py [--device cuda]``.

Cues are random tensors of the full sizes (576 tokens of 1024, texts of 768, language model of
4096), so only the choice is timed, not what the towers compute for it. CLIP is ViT-L/14 at 336
pixels with random weights. On a CPU everything is float32; on a GPU CLIP runs in bfloat16.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import torch
from common import run, spread
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.states import ClipImage
from litelvlm.clip.vit_view import ClipVitView
from litelvlm.pruning import CUES, Cues, get_pruner, list_pruners

GRID, BUDGET = (24, 24), 192
SIZES = {"N": 576, "D": 1024, "H": 1024, "P": 768, "T": 1, "E": 64, "d": 4096, "C": 3, "L": 32}
GREEDY = ("cdpruner", "divprune", "scope", "evtp_iv_like")
IN_TOWER = ("tome", "image_downsampling")
"""Methods that run the image tower themselves."""


def clip_tower(device: str, layers: int) -> ClipTower:
    """ViT-L/14 at 336 pixels, with so many blocks; the text side is never run."""
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=layers,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    text = CLIPTextConfig(num_hidden_layers=1, projection_dim=768)
    config = CLIPConfig(
        vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=768
    )
    kind = torch.float32 if device == "cpu" else torch.bfloat16
    return ClipTower(CLIPModel(config).eval().to(device, kind), tokenizer=None)


def random_cues(seed: int, device: str, image: ClipImage) -> Callable[[], Cues]:
    """Every cue at random, made anew at each call so that no choice is remembered."""
    made = torch.Generator().manual_seed(seed)
    found = {
        name: torch.randn([SIZES[a] for a in cue.axes], generator=made)
        for name, cue in CUES.items()
    }
    found["cls_attention"] = found["cls_attention"].softmax(0)
    found["colours"] = found["colours"].sigmoid()
    found["coverage"] = (found["coverage"] - 1).clamp(min=0, max=1)
    box = torch.zeros(GRID)
    box[5:12, 8:16] = 1.0
    found["box"] = box.flatten()
    placed = {name: cue.to(device) for name, cue in found.items()}
    return lambda: Cues(placed, GRID, key=seed, vit=lambda: ClipVitView(image))


def milliseconds(work: Callable[[], object], device: str, seconds: float, most: int) -> list[float]:
    """Times of repeated calls after one to warm up, until they took so long or are so many."""
    times: list[float] = []
    for _ in range(most + 1):
        if device != "cpu":
            torch.cuda.synchronize()
        start = perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(1000 * (perf_counter() - start))
        if sum(times) > 1000 * seconds and len(times) > 1:
            break
    return times[1:]


@torch.inference_mode()
def measure(
    device: str = "cpu",
    seconds: float = 2.0,
    repeats: int = 15,
    layers: int = 24,
    methods: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Time the selectors, and a forward now and then, as the machine's speed drifts."""
    tower = clip_tower(device, layers)
    pixels = torch.randn(1, 3, 336, 336, generator=torch.Generator().manual_seed(0))
    pixels = pixels.to(device, tower.clip.dtype)
    image = tower.image(pixels)
    cues = random_cues(0, device, image)
    forward: list[float] = []
    ones: dict[str, list[float]] = {}
    for turn, (name, method) in enumerate(list_pruners().items()):
        if method.stage == "llm" or name == "none" or (methods and name not in methods):
            continue
        if not forward or turn % 8 == 0:
            forward += milliseconds(partial(tower.image, pixels), device, seconds, 3)
        selector = get_pruner(name)

        def call(choose: Callable[[Cues, int], object] = selector.select) -> object:
            return choose(cues(), BUDGET)

        ones[name] = milliseconds(call, device, seconds, repeats)
    whole = spread(forward)
    rows = {
        name: {
            "one image": spread(times),
            "share of forward": spread(times)["median"] / whole["median"],
        }
        for name, times in ones.items()
    }
    shares = {name: row["share of forward"] for name, row in rows.items() if name not in IN_TOWER}
    others = [(share, name) for name, share in shares.items() if name not in GREEDY]
    found = {
        "clip forward": whole,
        "largest share, greedy": max((shares[n], n) for n in GREEDY if n in shares),
        "largest share, others": max(others),
        "selectors": rows,
    }
    return {"budget": BUDGET, "milliseconds": {device: found}}


if __name__ == "__main__":
    run(measure)
