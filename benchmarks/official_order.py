"""Our path against a straight transcription of the official order of work.

Usage: ``python benchmarks/official_order.py``. At full size, on a GPU or on a CPU with 20 GB:
``python benchmarks/official_order.py --model glamm-7b --random-init --budget 192``.

The transcription does what the released code does, step by step, on the same weights and for the
same selection: the whole CLIP image tower with every attention map kept, run twice (once for the
pruner, once for the tokens), SAM in eager attention with its relative positions materialised, the
language model in eager attention with idle LoRA wrappers around its query and value projections,
and on a GPU the cache emptied between steps. The steps are then taken away one after another; every
variant runs once per round, in random order. The variants hold their weights in common, so that the
full size needs the memory of one model.
"""

import random
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from common import run, spread, within
from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from litelvlm import get_pruner, load_model, load_refer
from litelvlm.analysis.studies.efficiency.timing import median_ratio
from litelvlm.clip.states import ClipImage
from litelvlm.data.images import open_image
from litelvlm.models.glamm.masks.masker import encode_image, sam_dtype
from litelvlm.models.glamm.masks.sam_attention import prepare_encoder
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.outputs import ImageState
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.glamm.prompting.prompts import conversation
from litelvlm.models.timed import timed

OFFICIAL = "official order"
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
    """The same matrices in separate modules; convolutions, whose layout changes, are copied."""
    shared = {id(tensor): tensor for tensor in model.parameters() if tensor.ndim < CONVOLUTION}
    return deepcopy(model, shared)


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


def with_library_sam(model: Glamm) -> Glamm:
    """Let SAM's image encoder attend as the library does: with a bias, from interpolated tables."""
    for layer in model.sam.vision_encoder.layers:
        layer.attn.__class__ = SamVisionSdpaAttention
    return model


def rest(model: Glamm) -> None:
    """Empty the GPU's cache, as the released code does between steps."""
    if model.device.type == "cuda":
        torch.cuda.empty_cache()


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


def ours(model: Glamm, picture: Any, text: str, budget: int) -> Tensor:
    """Mask logits by this project's path."""
    return model.segment(picture, text, get_pruner("litelvlm"), budget).logits


def variants(eager: Glamm, budget: int) -> dict[str, Callable[[], Tensor]]:
    """The official order, and our path as one step after another is taken away."""
    wrapped, library = with_lora(twin(eager)), with_library_sam(fused(twin(eager)))
    paths = {
        OFFICIAL: (official, wrapped),
        "one tower pass without its maps, no emptied cache": (ours, wrapped),
        "no idle LoRA": (ours, eager),
        "fused attention, SAM's as in the library": (ours, library),
        "SAM's relative positions our way (our path)": (ours, fused(twin(eager))),
    }
    sample = load_refer("embedded", split="val")[0]
    about = sample.image(), sample.expressions[0].sent, budget
    return {name: partial(path, model, *about) for name, (path, model) in paths.items()}


def measure(
    model: str = "embedded",
    random_init: bool = False,
    device: str | None = None,
    budget: int = 48,
    rounds: int = 20,
    warm_up: int = 3,
    minutes: float = 60.0,
) -> dict[str, Any]:
    """Time the variants in rounds, each in an order of its own."""
    eager = load_model(model, device=device, random_init=random_init, attn="eager")
    calls = variants(eager, budget)
    reference = calls[OFFICIAL]()
    apart = {name: float((call() - reference).abs().max()) for name, call in calls.items()}
    for _ in range(warm_up):
        for call in calls.values():
            call()
    times = {name: list[float]() for name in calls}
    for number in within(minutes, rounds):
        for name in random.Random(number).sample(list(calls), len(calls)):
            found = timed(calls[name], eager.device)
            times[name].append(found.get("cuda", found["wall"]))
    base = np.array(times[OFFICIAL])
    ratios = {name: median_ratio(base, np.array(values)) for name, values in times.items()}
    return {
        "model": model,
        "budget": budget,
        "milliseconds": {name: spread(values) for name, values in times.items()},
        "official_over_variant": {
            name: dict(zip(("ratio", "low", "high"), ratio, strict=True))
            for name, ratio in ratios.items()
        },
        "largest_difference_of_mask_logits": apart,
    }


if __name__ == "__main__":
    run(measure)
