"""What the door asks of a model of transformers: its family, its encoder, greedy decoding."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import transformers
from jaxtyping import Float
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from litelvlm.models.vlm.families import VLM_FAMILIES, VlmFamily
from litelvlm.models.vlm_base.patches import Patches
from litelvlm.models.vlm_base.tower import TowerSignals, tower_watched

FIRST_RELEASE = (5, 19)
"""First release of transformers whose models take features that were computed before."""


def release(version: str) -> tuple[int, int]:
    """Major and minor number of a version.

    Example:
        >>> release("5.23.0")
        (5, 23)
    """
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def family_of(model: nn.Module) -> VlmFamily:
    """Find the family of a model.

    Raises:
        ValueError: If it is not supported, or transformers is too old; the message says which, and
            what to do.
    """
    cls = type(model).__name__
    if not isinstance(model, PreTrainedModel):
        inside = {
            "_orig_mod": "pass the model as it was before torch.compile (model._orig_mod) and call "
            "that one",
            "get_base_model": "pass the model inside (model.get_base_model()), in which the "
            "adapters stay active, and call that one",
            "module": "pass the model inside (model.module) and call that one",
        }
        found = [what for name, what in inside.items() if hasattr(model, name)]
        instead = "give a vision-language model of transformers, as from_pretrained returns it"
        raise ValueError(
            f"{cls} is not a model of transformers that prune() can enter; {(*found, instead)[0]}"
        )
    kind = model.config.model_type
    if release(transformers.__version__) < FIRST_RELEASE:
        needed = ".".join(map(str, FIRST_RELEASE))
        raise ValueError(
            f"transformers {transformers.__version__} is too old for prune(): its models do not "
            f"accept encoded images; run: pip install 'transformers>={needed}' (the rest of "
            "litelvlm works with the installed release)"
        )
    if kind not in VLM_FAMILIES:
        raise ValueError(
            f"{cls} (model_type {kind!r}) is not supported by prune(); families are "
            f"{', '.join(VLM_FAMILIES)}; see litelvlm/models/vlm/families.py to add one"
        )
    if not model.can_generate():
        raise ValueError(
            f"{cls} has no head that generates; load the class with one, as "
            "AutoModelForImageTextToText.from_pretrained(...) does"
        )
    if "mm_encoder_outputs" not in inspect.signature(model.forward).parameters:
        raise ValueError(
            f"{cls} of transformers {transformers.__version__} does not accept encoded "
            "images (mm_encoder_outputs); update transformers"
        )
    return VLM_FAMILIES[kind]


MODALITIES = ("image", "video")
PIXELS = {
    "image": ("pixel_values", "pixel_values_images"),
    "video": ("pixel_values_videos",),
}
"""Arguments that hold pixels."""


def has_pixels(given: Mapping[str, object], *modalities: str) -> bool:
    """Whether a call brings any of some modalities; left out, images or videos."""
    return any(given.get(name) is not None for m in modalities or MODALITIES for name in PIXELS[m])


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

    Raises:
        ValueError: If a mask over the tokens of videos does not fit them.
    """
    outputs: dict[str, Encoded] = {}
    used: set[str] = set()
    for modality in MODALITIES:
        method = f"get_{modality}_features"
        encoder = getattr(model.base_model, method, None) or getattr(model, method, None)
        if encoder is None or not has_pixels(given, modality):
            continue
        names = [name for name in inspect.signature(encoder).parameters if name in given]
        with tower_watched(model, patches, given.get("vision_feature_layer")) as signals:
            output = encoder(**{name: given[name] for name in names}, return_dict=True)
            outputs[modality] = Encoded(output, signals())
        used.update(names)
    mask = given.get(COMPRESSION)
    if "video" in outputs and mask is not None and takes(model, COMPRESSION):
        drop_unmasked(outputs["video"].output, mask)
        used.add(COMPRESSION)
    return outputs, {name: value for name, value in given.items() if name not in used}


COMPRESSION = "video_compression_mask"
"""Argument that says which visual tokens of all videos enter the prompt, in VideoLLaMA 3."""


def takes(model: PreTrainedModel, argument: str) -> bool:
    """Whether the class of a model names an argument."""
    return argument in inspect.signature(type(model).forward).parameters


def drop_unmasked(output: ModelOutput, mask: object) -> None:
    """Take out of an encoder's output what the model itself would drop before its prompt.

    Args:
        output: What the encoder returned, a tensor for each video; it is changed.
        mask: Whether each visual token of all videos stays [n].

    Raises:
        ValueError: If the mask does not fit the videos, or drops all of one.
    """
    parts = output["pooler_output"]
    counts = [len(part) for part in parts]
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (sum(counts),):
        raise ValueError(
            f"{COMPRESSION} must say True or False of each of the {sum(counts)} visual tokens of "
            f"all videos, {counts} per video; hand on what the processor returns"
        )
    kept = [part[own.to(part.device)] for part, own in zip(parts, mask.split(counts), strict=True)]
    if 0 in map(len, kept):
        empty = [len(part) for part in kept].index(0)
        raise ValueError(f"{COMPRESSION} drops every token of video {empty}; leave the video out")
    output["pooler_output"] = tuple(kept)


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


KEPT = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")
"""Settings that say what tokens mean, not how to choose them."""


@contextmanager
def greedy_decoding(network: PreTrainedModel) -> Iterator[None]:
    """Let ``generate`` take the likeliest token at each step, whatever the checkpoint stores.

    Published checkpoints store penalties on repetition, beams and suppressed tokens in
    ``generation_config.json``, and ``do_sample=False`` leaves those on.

    Args:
        network: Its own settings come back when the block ends.
    """
    stored = network.generation_config
    kept = {name: getattr(stored, name, None) for name in KEPT}
    network.generation_config = GenerationConfig(**kept, do_sample=False)
    try:
        yield
    finally:
        network.generation_config = stored
