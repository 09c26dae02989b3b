"""Run the image encoder of a call once, and put fewer features back into its output."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from litelvlm.models.vlm.families import VlmFamily
from litelvlm.models.vlm.layouts import Patches
from litelvlm.models.vlm.tower.find import tower_watched
from litelvlm.models.vlm.tower.signals import TowerSignals

MODALITIES = ("image", "video")
PIXELS = {
    "image": ("pixel_values", "pixel_values_images"),
    "video": ("pixel_values_videos",),
}
"""Arguments that hold pixels."""


def has_pixels(given: Mapping[str, object]) -> bool:
    """Whether a call brings images or videos."""
    return any(given.get(name) is not None for names in PIXELS.values() for name in names)


@dataclass(frozen=True, eq=False)
class Encoded:
    """What the encoder made of the images or the videos of a call.

    Attributes:
        output: What it returned.
        signals: What its attention showed; None if it was not watched.
    """

    output: ModelOutput
    signals: TowerSignals | None


def encode(
    model: PreTrainedModel, given: Mapping[str, object], patches: Patches = "unknown"
) -> tuple[dict[str, Encoded], dict[str, object]]:
    """Encode the images and videos of a call.

    Args:
        model: The model.
        given: Arguments of the call.
        patches: How its tokens are made of patches; "unknown" leaves the tower unwatched.

    Returns:
        What the encoder made, by modality, and the arguments that it did not take.
    """
    outputs: dict[str, Encoded] = {}
    used: set[str] = set()
    for modality in MODALITIES:
        method = f"get_{modality}_features"
        encoder = getattr(model.base_model, method, None) or getattr(model, method, None)
        if encoder is None or all(given.get(name) is None for name in PIXELS[modality]):
            continue
        names = [name for name in inspect.signature(encoder).parameters if name in given]
        with tower_watched(model, patches) as signals:
            output = encoder(**{name: given[name] for name in names}, return_dict=True)
            outputs[modality] = Encoded(output, signals())
        used.update(names)
    return outputs, {name: value for name, value in given.items() if name not in used}


def with_features(
    family: VlmFamily,
    output: ModelOutput,
    features: Sequence[Float[Tensor, "_ d"]],
    deepstack: Sequence[Sequence[Float[Tensor, "_ d"]]],
) -> ModelOutput:
    """An encoder's output with other features, in the container that the family expects.

    Args:
        family: The family.
        output: What the encoder returned.
        features: Features of each image.
        deepstack: Features of each image that enter later layers, by layer; empty without any.
    """
    container: object = list(features)
    if isinstance(output[family.field], Tensor):
        equal = len({len(part) for part in features}) == 1
        # The models flatten a tensor, so one entry of all tokens serves for unequal counts.
        container = torch.stack(list(features)) if equal else torch.cat(list(features))[None]
    changed = {**output, family.field: container}
    if deepstack:
        changed["deepstack_features"] = [list(layer) for layer in deepstack]
    return type(output)(**changed)
