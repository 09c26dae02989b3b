"""Our path against a straight transcription of the official order of work.

Usage: ``python benchmarks/official_order.py``.

The transcription does what the released code does, step by step, on the same weights and for the
same selection: the whole CLIP image tower with every attention map kept, run twice (once for the
pruner, once for the tokens), SAM in eager attention with its relative positions materialised, the
language model in eager attention with idle LoRA wrappers around its query and value projections,
and on a GPU the cache emptied between steps. The steps are then taken away one after another; every
variant runs once per round, in random order. The variants hold their weights in common, so that the
full size needs the memory of one model. Blocks of rounds are stored when they are done.

At full size, on a GPU or on a CPU with 20 GB (then with fewer rounds):
``python benchmarks/official_order.py --model glamm-7b --random-init --budget 192``.
"""

import argparse
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Kept, spread, store
from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from litelvlm import get_pruner, load_model, load_refer
from litelvlm.analysis.studies.efficiency.timing import median_ratio
from litelvlm.clip.states import ClipImage
from litelvlm.data.images import open_image
from litelvlm.models.glamm.masks.decoder import encode_image, sam_dtype
from litelvlm.models.glamm.masks.sam_attention import prepare_encoder
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import conversation
from litelvlm.models.timed import timed

CONVOLUTION = 4
"""Dimensions of a convolution's weight."""


class IdleLora(nn.Module):
    """A projection with a low-rank addition of zero, as a wrapped adapter after its merge."""

    def __init__(self, base: nn.Linear, rank: int = 8) -> None:
        super().__init__()
        place: Any = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.base = base
        self.down = nn.Linear(base.in_features, rank, bias=False, **place)
        self.up = nn.Linear(rank, base.out_features, bias=False, **place)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The projection and its idle addition."""
        out: Tensor = self.base(x) + self.up(self.down(x))
        return out


def twin(model: Glamm) -> Glamm:
    """The same matrices in separate modules, and copies of the convolutions.

    The convolutions are copied because the variants change their layout.
    """
    return deepcopy(
        model, {id(tensor): tensor for tensor in model.parameters() if tensor.ndim < CONVOLUTION}
    )


def fused(model: Glamm) -> Glamm:
    """Let an eager model use fused attention, as in ``load_model`` with ``attn="sdpa"``."""
    for part in (model.tower.clip, model.llama, model.sam):
        part.set_attn_implementation("sdpa")
    prepare_encoder(with_library_sam(model).sam)
    return model


def with_lora(model: Glamm) -> Glamm:
    """Wrap the language model's query and value projections."""
    for layer in model.llama.model.layers:
        for name in ("q_proj", "v_proj"):
            setattr(layer.self_attn, name, IdleLora(getattr(layer.self_attn, name)))
    return model


@torch.inference_mode()
def official(model: Glamm, picture: Any, text: str, budget: int) -> Tensor:
    """Mask logits by the official order of work."""
    image, talk = open_image(picture), conversation([text])
    crop = model.tower.pixel_values(image)
    square, resized = sam_pixel_values(image, model.sam_image_size)
    for _ in range(2):  # once for the pruner, once for the tokens
        whole = model.tower.clip.vision_model(
            crop, output_hidden_states=True, output_attentions=True
        )
        rest(model)
    clip = ClipImage(model.tower, tuple(whole.hidden_states[:-1]), crop)
    embeddings = encode_image(model.sam, square.to(model.device, sam_dtype(model.sam)))
    rest(model)
    state = ImageState(clip, embeddings, (image.height, image.width), resized)
    selection = get_pruner("litelvlm").select(model.cues(state, talk), budget)
    (found,) = model.ground([state], [talk], [selection])
    rest(model)
    return found.logits


def with_library_sam(model: Glamm) -> Glamm:
    """Let SAM's image encoder attend as the library does.

    That is always with a bias, from tables made by interpolation.
    """
    for layer in model.sam.vision_encoder.layers:
        layer.attn.__class__ = SamVisionSdpaAttention
    return model


def rest(model: Glamm) -> None:
    """Empty the GPU's cache, as the released code does between steps."""
    if model.device.type == "cuda":
        torch.cuda.empty_cache()


def ours(model: Glamm, picture: Any, text: str, budget: int) -> Tensor:
    """Mask logits by this project's path."""
    return model.segment(picture, text, get_pruner("litelvlm"), budget).logits


def differences(variants: Mapping[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Largest difference of each variant's mask logits from those of the official order."""
    reference = variants["official order"]()
    return {name: float((call() - reference).abs().max()) for name, call in variants.items()}


def in_blocks(
    variants: Mapping[str, Callable[[], Tensor]],
    given: argparse.Namespace,
    device: torch.device,
    kept: Kept,
) -> dict[str, list[float]]:
    """Milliseconds of every round by variant; blocks of rounds are stored when they are done."""

    @cache
    def warm() -> None:
        for _ in range(max(1, given.warm_up)):  # once in each process: some variants compile
            for call in variants.values():
                call()

    def block(first: int) -> dict[str, list[float]]:
        warm()
        order, times = random.Random(first), {name: list[float]() for name in variants}
        for _ in range(first, min(first + given.block, given.rounds)):
            for name in order.sample(list(variants), len(variants)):
                found = timed(variants[name], device)
                times[name].append(found.get("cuda", found["wall"]))
        return times

    blocks = [
        kept(f"rounds from {first}", partial(block, first))
        for first in range(0, given.rounds, given.block)
    ]
    return {name: [value for times in blocks for value in times[name]] for name in variants}


def main() -> None:
    """Time the transcription, and our path as one step after another is taken away."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--random-init", action="store_true")
    parser.add_argument("--device", default=None)
    parser.add_argument("--budget", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--block", type=int, default=5, help="rounds that are stored together")
    given = parser.parse_args()
    eager = load_model(
        given.model, device=given.device, random_init=given.random_init, attn="eager"
    )
    wrapped, library, best = (
        with_lora(twin(eager)),
        with_library_sam(fused(twin(eager))),
        fused(twin(eager)),
    )
    sample = load_refer("embedded", split="val")[0]
    picture, text = sample.image(), sample.expressions[0].sent
    variants: dict[str, Callable[[], Tensor]] = {
        "official order": partial(official, wrapped, picture, text, given.budget),
        "one tower pass without its maps, no emptied cache": partial(
            ours, wrapped, picture, text, given.budget
        ),
        "no idle LoRA": partial(ours, eager, picture, text, given.budget),
        "fused attention, SAM's as in the library": partial(
            ours, library, picture, text, given.budget
        ),
        "SAM's relative positions our way (our path)": partial(
            ours, best, picture, text, given.budget
        ),
    }
    small = given.model == "embedded"
    name = (
        "official_order" if small else f"official_order_{Path(given.model).name}_{best.device.type}"
    )
    kept = Kept(name)
    apart = kept("agreement", partial(differences, variants))
    times = in_blocks(variants, given, best.device, kept)
    base = np.array(times["official order"])
    ratios = {name: median_ratio(base, np.array(values)) for name, values in times.items()}
    store(
        name,
        {
            "model": given.model,
            "budget": given.budget,
            "threads": torch.get_num_threads(),
            "milliseconds": {name: spread(values) for name, values in times.items()},
            "official_over_variant": {
                name: dict(zip(("ratio", "low", "high"), r, strict=True))
                for name, r in ratios.items()
            },
            "largest_difference_of_mask_logits": apart,
        },
    )


if __name__ == "__main__":
    main()
