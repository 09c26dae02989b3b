"""Are masks under CUDA graphs right? ``python benchmarks/gpu/graph_masks.py --device cuda``.

The miniature answers about several images, plain and with recorded parts, in two number types. All
images are encoded first, and their states are kept while others are replayed. Stored per number
type: the largest difference of states and of mask logits, pixels that differ, and how many calls
recordings answered. The exit status is 1 if a difference is too large or a part was never replayed.
"""

import argparse
import sys
from functools import partial
from typing import Any

import torch

from benchmarks.common import Kept, store
from benchmarks.gpu.graphs import counts, never_replayed, pair
from litelvlm import get_pruner, load_refer
from litelvlm.data.dataset import Sample
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import ImageState

BUDGETS = (144, 48, 16)
ROUNDS = 3
"""The first call of a shape is plain, the second is recorded."""
BOUNDS = {"float32": 1e-3, "bfloat16": 0.5}
"""Largest difference of mask logits, which span about 40."""


def encode(model: Glamm, samples: list[Sample]) -> list[ImageState]:
    """States of the images in the last of several rounds."""
    rounds = [[model.encode_image(sample.image()) for sample in samples] for _ in range(ROUNDS)]
    return rounds[-1]


@torch.inference_mode()
def masks(model: Glamm, samples: list[Sample], states: list[ImageState]) -> list[torch.Tensor]:
    """Mask logits of the first expression of each image at each budget, round by round."""
    found, pruner = [], get_pruner("litelvlm")
    for _ in range(ROUNDS):
        for sample, state in zip(samples, states, strict=True):
            asked = model.conversation([sample.expressions[0].sent])
            for budget in BUDGETS:
                selection = pruner.select(model.cues(state, asked), budget)
                (result,) = model.ground([state], [asked], [selection])
                found.append(result.logits.float().cpu())
    return found


def compare(device: str, dtype: str, images: int) -> dict[str, Any]:
    """Differences between the plain model and the recorded one."""
    data = load_refer("embedded", split="val")
    samples = [data[i] for i in range(images)]
    plain, graphed = pair("embedded", device, dtype)
    states = [encode(model, samples) for model in (plain, graphed)]
    answers = [
        masks(model, samples, own) for model, own in zip((plain, graphed), states, strict=True)
    ]
    tensors = [[*one.clip.states, one.sam_embeddings] for one in states[0]]
    others = [[*one.clip.states, one.sam_embeddings] for one in states[1]]
    return {
        "largest_state_difference": max(
            float((a - b).abs().max())
            for row, other in zip(tensors, others, strict=True)
            for a, b in zip(row, other, strict=True)
        ),
        "largest_logit_difference": max(
            float((a - b).abs().max()) for a, b in zip(*answers, strict=True)
        ),
        "pixels_that_differ": sum(
            int(((a > 0) != (b > 0)).sum()) for a, b in zip(*answers, strict=True)
        ),
        "masks": len(answers[0]),
        "calls": counts(graphed),
        "never_replayed": never_replayed(graphed),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--images", type=int, default=4)
    given = parser.parse_args()
    kept = Kept("graph_masks")
    rows = {
        dtype: kept(dtype, partial(compare, given.device, dtype, given.images)) for dtype in BOUNDS
    }
    store("graph_masks", {"budgets": BUDGETS, "bounds": BOUNDS, "types": rows})
    wrong = [
        dtype
        for dtype, row in rows.items()
        if row["never_replayed"] or not row["largest_logit_difference"] <= BOUNDS[dtype]
    ]
    if wrong:
        sys.exit(f"not the plain model's masks, or never replayed: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
