"""Model and data that the options of a command name."""

import torch

from litelvlm import load_model, load_refer, load_vlm
from litelvlm.analysis.cli.options import VLM, DataOptions, ModelOptions, require_writable
from litelvlm.analysis.cli.terminal.loading import hide_loading_bar
from litelvlm.analysis.inputs.image_cache import with_image_cache
from litelvlm.data.refer import ReferDataset
from litelvlm.models.base import StudiedModel
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.options import GlammOptions


def model_of(verb: ModelOptions) -> Glamm:
    """Load the model that the options name, with its cache of encoded images if there is one.

    Raises:
        ValueError: If the model or an option is unknown, or there is no such device.
    """
    options = GlammOptions.parse(verb.options)
    if verb.model.startswith(VLM):
        raise ValueError(
            f"{verb.model} answers in words and gives no masks, which this command needs; "
            "`litelvlm study` and `litelvlm bench` take it"
        )
    if verb.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is not available here; use --device cpu")
    hide_loading_bar(large=False)  # transformers reads nothing but CLIP, in a second
    model = load_model(
        verb.model,
        dtype=None if verb.dtype == "auto" else verb.dtype,
        device=None if verb.device == "auto" else verb.device,
        attn=verb.attn,
        random_init=verb.random_init,
        options=options,
        clip=verb.clip,
        quantise=verb.quantise,
        compile=verb.compile,
    )
    if verb.image_cache is None:
        return model
    require_writable(verb.image_cache, folder=True)
    return with_image_cache(model, verb.image_cache)


def studied_of(verb: ModelOptions) -> StudiedModel:
    """Load the model that the options name, one that answers in words included.

    Raises:
        ValueError: As ``model_of``; if an option does not go with the model; or if there is a
            cache for a model that keeps no encoded images.
    """
    if not verb.model.startswith(VLM):
        return model_of(verb)
    if verb.image_cache is not None:
        raise ValueError(
            f"--cache {verb.image_cache}: {verb.model} cannot keep encoded images, a GLaMM can; "
            "leave --cache out"
        )
    for name in ("options", "quantise", "compile"):
        if getattr(verb, name):
            raise ValueError(f"--{name} goes with a GLaMM; leave it out for {verb.model}")
    if verb.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' is not available here; use --device cpu")
    hide_loading_bar(large=verb.model != f"{VLM}embedded")
    return load_vlm(
        verb.model,
        clip=verb.clip,
        dtype=None if verb.dtype == "auto" else verb.dtype,
        device=None if verb.device == "auto" else verb.device,
        attn=verb.attn,
        random_init=verb.random_init,
    )


def data_of(verb: DataOptions) -> ReferDataset:
    """Read the references that the options name.

    Raises:
        ValueError: If the data set or the split is unknown.
        FileNotFoundError: If its files are missing.
    """
    return load_refer(verb.data, dataset=verb.dataset, split=verb.split, split_by=verb.split_by)
