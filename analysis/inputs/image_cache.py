"""A model that keeps its encoded images in a folder, under all that their numbers depend on."""

import json
from pathlib import Path
from typing import TypeVar

import torch

from litelvlm.analysis.runs.engine import code_of
from litelvlm.analysis.runs.origin.provenance import COMPUTING, model_identity, versions
from litelvlm.models.base import StudiedModel
from litelvlm.models.image_cache import CachingModel, ImageCache

ModelT = TypeVar("ModelT", bound=StudiedModel)


def with_image_cache(model: ModelT, folder: str | Path) -> ModelT:
    """The same model, which reads encoded images from a folder and keeps new ones there.

    Raises:
        ValueError: If the model's family keeps no encoded images.
        NotADirectoryError: If the folder is a file.
    """
    if not isinstance(model, CachingModel):
        raise ValueError(
            f"cache {folder}: {model.name} ({type(model).__name__}) cannot keep encoded images, "
            "a GLaMM can; leave the cache out"
        )
    if Path(folder).exists() and not Path(folder).is_dir():
        raise NotADirectoryError(f"cache {folder} is a file; name a folder")
    return model.with_image_cache(ImageCache(folder, origin_of(model)))


def hardware(device: torch.device) -> str:
    """What decides the last bits of a product: the GPU, or the instructions of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.backends.cpu.get_cpu_capability())


def origin_of(model: CachingModel) -> str:
    """What the encoded images of a model depend on, whatever the model is called."""
    identity = {name: value for name, value in model_identity(model).items() if name != "name"}
    return json.dumps(
        {
            "model": identity,
            "code": code_of(model.encoders, ()),
            "hardware": hardware(model.device),
            "versions": versions(COMPUTING),
        },
        sort_keys=True,
    )
