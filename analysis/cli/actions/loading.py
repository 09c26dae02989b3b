"""Model and data that the options of a command name."""

import sys
from typing import TypeVar

import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
from transformers.utils.logging import disable_progress_bar

from litelvlm import load_refer
from litelvlm.analysis.cli.options import DataOptions, ModelOptions, require_writable
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.data.refer import ReferDataset
from litelvlm.data.video.clips import ClipDataset
from litelvlm.data.video.layout import holds_clips
from litelvlm.data.video.read import load_clips
from litelvlm.data.video.stills import Stills
from litelvlm.models import families
from litelvlm.models.base import GroundingModel, StudiedModel
from litelvlm.models.families import ModelFamily, ModelRequest
from litelvlm.models.image_cache import CachingModel

ModelT = TypeVar("ModelT", bound=StudiedModel)


def model_of(verb: ModelOptions) -> GroundingModel:
    """Load the model that the options name, one that answers with masks.

    Raises:
        ValueError: As ``load_as``.
        FileNotFoundError: Likewise.
    """
    return load_as(verb, GroundingModel)  # type: ignore[type-abstract]  # it is only compared with


def studied_of(verb: ModelOptions) -> StudiedModel:
    """Load the model that the options name, of whatever family.

    Raises:
        ValueError: As ``load_as``.
        FileNotFoundError: Likewise.
    """
    return load_as(verb, StudiedModel)  # type: ignore[type-abstract]  # likewise


def load_as(verb: ModelOptions, needed: type[ModelT]) -> ModelT:
    """Load the model that the options name, with its cache of encoded images if there is one.

    Args:
        verb: The options. The table of model families says which family the name belongs to.
        needed: What the command needs of the model.

    Raises:
        ValueError: If the model or an option is unknown, the family is another than the command
            needs, an option does not go with the family, there is a cache for a family that keeps
            no encoded images, or there is no such device.
        FileNotFoundError: If a file of the model is missing.
    """
    family, request = families.family_for(verb.model), request_of(verb)
    if not issubclass(family.model, needed):
        raise ValueError(
            f"this command needs {needed.described}, and {verb.model} is "
            f"{family.model.described}; `litelvlm study` and `litelvlm bench` take it"
        )
    for name in request.chosen:
        if name not in family.takes:
            takers = [one for one in families.FAMILIES.values() if name in one.takes]
            raise ValueError(
                f"--{name.replace('_', '-')} goes with {listed(takers)}; leave it out for "
                f"{verb.model}"
            )
    if verb.image_cache is not None and not issubclass(family.model, CachingModel):
        keepers = [one for one in families.FAMILIES.values() if issubclass(one.model, CachingModel)]
        raise ValueError(
            f"--cache {verb.image_cache}: {verb.model} cannot keep encoded images, "
            f"{listed(keepers)} can; leave --cache out"
        )
    if verb.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is not available here; use --device cpu")
    if verb.image_cache is not None:
        require_writable(verb.image_cache, folder=True, option="--cache")
    hide_loading_bar(large=family.large(verb.model))
    model = family.load(request)
    if not isinstance(model, needed):
        raise TypeError(f"family {family.name!r} loads {type(model).__name__}, not its own model")
    if verb.image_cache is None:
        return model
    return with_image_cache(model, verb.image_cache)


def request_of(verb: ModelOptions) -> ModelRequest:
    """What the options ask of a family."""
    return ModelRequest(
        name=verb.model,
        dtype=None if verb.dtype == "auto" else verb.dtype,
        device=None if verb.device == "auto" else verb.device,
        attn=verb.attn,
        clip=verb.clip,
        random_init=verb.random_init,
        quantise=verb.quantise,
        options=verb.options,
    )


def listed(chosen: list[ModelFamily]) -> str:
    """Families in words; "no family" if there is none."""
    return " or ".join(one.model.described for one in chosen) or "no family"


def data_of(verb: DataOptions) -> ReferDataset | ClipDataset | Stills:
    """Read the references that the options name, of images or of clips.

    Raises:
        ValueError: If the data set or the split is unknown, or an option does not go with it.
        FileNotFoundError: If its files are missing.
    """
    if holds_clips(verb.data, verb.dataset):
        if verb.split_by is not None:
            raise ValueError(
                f"--split-by {verb.split_by} goes with RefCOCO and its kin; leave it out for clips"
            )
        clips = load_clips(verb.data, verb.dataset, verb.split)
        return clips if verb.stills is None else Stills(clips, verb.stills)
    if verb.stills is not None:
        raise ValueError(f"--stills {verb.stills} goes with clips; leave it out for images")
    return load_refer(verb.data, dataset=verb.dataset, split=verb.split, split_by=verb.split_by)


def hide_loading_bar(*, large: bool) -> None:
    """Draw no bar of transformers while weights are read, except at a terminal for a large model.

    The bars of downloads stay as they are.
    """
    if large and sys.stderr.isatty():
        return
    downloads = not are_progress_bars_disabled()
    disable_progress_bar()
    if downloads:
        enable_progress_bars()
