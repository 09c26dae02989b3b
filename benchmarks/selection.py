"""Time of every selector at full size beside one CLIP image forward.

Usage: ``python benchmarks/selection.py [--device cuda]``.

Cues are random tensors of the full sizes (576 tokens of 1024, texts of 768, language model of
4096), so only the choice is timed, not what the towers compute for it. CLIP is ViT-L/14 at 336
pixels with random weights. On a CPU everything is float32; on a GPU CLIP runs in bfloat16. Without
``--device`` the CPU is timed, and a GPU too if there is one.
"""

import argparse
from collections.abc import Callable, Collection
from functools import partial
from time import perf_counter

import torch
from common import Kept, spread, store
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from litelvlm.clip.hf import ClipTower
from litelvlm.clip.states import ClipImage
from litelvlm.clip.vit_view import ClipVitView
from litelvlm.pruning import CUES, Cues, get_pruner, list_pruners

GRID, BUDGET, BATCH, IMAGES = (24, 24), 192, 32, 4
SIZES = {"N": 576, "D": 1024, "P": 768, "T": 1, "E": 64, "d": 4096, "C": 3, "L": 32}
GREEDY = ("cdpruner", "divprune", "scope", "evtp_iv_like")


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
    clip = CLIPModel(
        CLIPConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=768)
    ).eval()
    return ClipTower(
        clip.to(device, torch.float32 if device == "cpu" else torch.bfloat16), tokenizer=None
    )


def random_cues(seed: int, device: str, image: ClipImage) -> Cues:
    """Every cue at random."""
    made = torch.Generator().manual_seed(seed)
    found = {
        name: torch.randn([SIZES[a] for a in cue.axes], generator=made)
        for name, cue in CUES.items()
    }
    found["cls_attention"] = found["cls_attention"].softmax(0)
    found["colours"] = found["colours"].sigmoid()
    found["coverage"] = (found["coverage"] - 1).clamp(min=0, max=1)
    found["box"] = torch.zeros(GRID)
    found["box"][5:12, 8:16] = 1.0
    found["box"] = found["box"].flatten()
    return Cues(
        {k: v.to(device) for k, v in found.items()}, GRID, key=seed, vit=lambda: ClipVitView(image)
    )


def milliseconds(work: Callable[[], object], device: str, seconds: float, most: int) -> list[float]:
    """Times of repeated calls after one to warm up.

    Calls stop when they took ``seconds`` or when there are ``most``.
    """
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
    device: str,
    seconds: float,
    most: int,
    methods: Collection[str],
    size: int,
    layers: int,
    kept: Kept,
) -> dict[str, object]:
    """Time the forward and the selectors on one device.

    Forwards are spread over the run, as the machine's speed drifts.
    """
    tower = clip_tower(device, layers)
    pixels = torch.randn(1, 3, 336, 336, generator=torch.Generator().manual_seed(0))
    pixels = pixels.to(device, tower.clip.dtype)
    image = tower.image(pixels)
    distinct = [random_cues(seed, device, image) for seed in range(IMAGES)]
    batch = [distinct[i % IMAGES] for i in range(size)]
    names = [
        name
        for name, method in list_pruners().items()
        if method.stage != "llm" and name != "none" and (not methods or name in methods)
    ]
    forward, ones, many = [], {}, {}

    def chosen(name: str) -> tuple[list[float], list[float]]:
        pruner = get_pruner(name)
        one = milliseconds(partial(pruner.select, distinct[0], BUDGET), device, seconds, most)
        if max(one) * size >= 20_000:
            return one, []
        times = milliseconds(partial(pruner.select_batch, batch, BUDGET), device, seconds, 3)
        return one, [value / size for value in times]

    clip = partial(milliseconds, partial(tower.image, pixels), device, seconds, 3)
    for turn, name in enumerate(names):
        if turn % 8 == 0:
            forward += kept(f"{device}, forward before {name}", clip)
        ones[name], several = kept(f"{device}, {name}", partial(chosen, name))
        if several:
            many[name] = several
    whole = spread(forward)
    rows = {
        name: {
            "one image": spread(ones[name]),
            f"per image of {size}": spread(many[name]) if name in many else None,
            "share of forward": spread(ones[name])["median"] / whole["median"],
        }
        for name in names
    }
    shares = {name: row["share of forward"] for name, row in rows.items() if name != "tome"}
    return {
        "clip forward": whole,
        "largest share, greedy": max((shares[name], name) for name in GREEDY if name in shares),
        "largest share, others": max(
            (share, name) for name, share in shares.items() if name not in GREEDY
        ),
        "selectors": rows,
    }


def main() -> None:
    """Time every selector on one device, or on every device there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="only this one")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="longest time per selector and batch size"
    )
    parser.add_argument("--repeats", type=int, default=15, help="most repeats of one selector")
    parser.add_argument("--methods", nargs="+", default=(), help="only these; all if left out")
    parser.add_argument("--batch", type=int, default=BATCH, help="images of the larger batch")
    parser.add_argument(
        "--layers", type=int, default=24, help="blocks of CLIP's image tower; fewer for a dry run"
    )
    options = parser.parse_args()
    kept = Kept("selection")
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    devices = [options.device] if options.device else there
    store(
        "selection",
        {
            "budget": BUDGET,
            "milliseconds": {
                device: measure(
                    device,
                    options.seconds,
                    options.repeats,
                    options.methods,
                    options.batch,
                    options.layers,
                    kept,
                )
                for device in devices
            },
        },
    )


if __name__ == "__main__":
    main()
