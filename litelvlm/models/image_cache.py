"""Encoded images on disk, so that a second run about the same images does not encode them again.

One safetensors file holds one image. Its name is a digest over everything the numbers depend on, so
a file is never out of date: other weights, code or settings look for another name. Results are
equal bit for bit with and without a cache; tensors come back with their layout in memory, on which
the order of later additions depends.
"""

import hashlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from litelvlm.data.files import atomic_write, remove_debris
from litelvlm.models.base import StudiedModel

log = logging.getLogger(__name__)
ABOUT = "about"
"""Entry of a file's metadata."""
State = TypeVar("State")
Model = TypeVar("Model", bound="CachingModel")


class About(BaseModel):
    """What a file says of itself.

    Attributes:
        key: What it is called by.
        sha256: Of its tensors and their orders.
        orders: Axes of each tensor from the outermost to the innermost in memory.
    """

    key: str
    sha256: str
    orders: dict[str, list[int]]


class ImageCache:
    """A folder of encoded images that several processes may share.

    Files are written whole or not at all. A file that is damaged, or that holds something else than
    its name says, is reported in the log and made again. When the disk takes no more, the run goes
    on without keeping.

    Args:
        folder: Made with the first image.
        origin: What every state in it depends on: weights, number type, device, code, libraries.

    Attributes:
        n_read: Images whose states were read.
        n_made: Images that had to be encoded.
    """

    def __init__(self, folder: str | Path, origin: str) -> None:
        self.folder, self.origin = Path(folder), origin
        self.n_read = self.n_made = 0
        self._keeps = True

    def state(
        self,
        picture: Image.Image,
        settings: str,
        encode: Callable[[Image.Image], State],
        pack: Callable[[State], Mapping[str, Tensor]],
        unpack: Callable[[Mapping[str, Tensor]], State],
    ) -> State:
        """The state of an image, read if it is there, else computed and kept.

        Args:
            picture: The image, RGB.
            settings: What else the state depends on, such as the crop.
            encode: Computes the state.
            pack: Takes a state apart into tensors.
            unpack: Puts it together again.
        """
        key = self._key(picture, settings)
        path = self.folder / key[:2] / f"{key}.safetensors"
        if path.exists():
            try:
                found = unpack(read_tensors(path, key))
            except (SafetensorError, OSError, ValueError, LookupError, RuntimeError) as error:
                log.warning("%s cannot be used (%s); the image is encoded again", path, error)
            else:
                self.n_read += 1
                return found
        made = encode(picture)
        self.n_made += 1
        if self._keeps:
            self._keep(path, key, pack(made))
        return made

    def _keep(self, path: Path, key: str, tensors: Mapping[str, Tensor]) -> None:
        content = packed(tensors, key)
        try:
            atomic_write(path, content)
        except OSError as error:
            self._keeps = False
            log.warning("encoded images are kept no longer: %s", error)
            return
        if self.n_made == 1:
            remove_debris(path.parent)
            log.info("encoded images go to %s, %.1f MB each", self.folder, len(content) / 1e6)

    def _key(self, picture: Image.Image, settings: str) -> str:
        digest = hashlib.sha256()
        for part in (self.origin, settings, picture.mode, str(picture.size)):
            digest.update(f"{len(part)}:{part}".encode())
        digest.update(picture.tobytes())
        return digest.hexdigest()


class CachingModel(StudiedModel):
    """A model whose encoded images can be kept on disk.

    A family opts in by naming what its states depend on, and by asking ``image_cache`` in its
    ``encode_image``.

    Attributes:
        image_cache: Where they are kept; None keeps none.
    """

    image_cache: ImageCache | None = None

    @property
    @abstractmethod
    def state_settings(self) -> str:
        """What decides an image's state besides weights, number type and device."""

    @property
    @abstractmethod
    def encoders(self) -> Sequence[type]:
        """Classes whose modules, with all that these import, compute an image's state."""

    def with_image_cache(self: Model, cache: ImageCache | None) -> Model:
        """The same model with a cache, or without one; this model does not change."""
        other = copy(self)
        other.image_cache = cache
        return other


def packed(tensors: Mapping[str, Tensor], key: str) -> bytes:
    """Content of a file: the tensors, what it is called by, a checksum, and layouts in memory."""
    flat, orders = dict[str, Tensor](), dict[str, list[int]]()
    for name, tensor in tensors.items():
        order = sorted(range(tensor.ndim), key=lambda axis, t=tensor: -t.stride(axis))  # type: ignore[misc]
        flat[name] = tensor.detach().permute(order).contiguous().cpu()
        orders[name] = order
    about = About(key=key, sha256=_checksum(flat, orders), orders=orders)
    return save(flat, {ABOUT: about.model_dump_json()})


def read_tensors(path: Path, key: str) -> dict[str, Tensor]:
    """Tensors of a file, on the CPU, with the layouts they were kept with.

    Raises:
        ValueError: If the file holds another image's states, or a number has changed.
        SafetensorError: If it is no complete safetensors file.
    """
    with safe_open(path, framework="pt") as file:
        told = About.model_validate_json((file.metadata() or {}).get(ABOUT, ""))
        # Copies lie in memory as torch's own tensors do; a file's offsets can be less aligned.
        flat = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    if told.key != key:
        raise ValueError("it was not written for this image and model")
    if told.sha256 != _checksum(flat, told.orders):
        raise ValueError("its checksum is wrong")
    return {
        name: tensor.permute([told.orders[name].index(axis) for axis in range(tensor.ndim)])
        for name, tensor in flat.items()
    }


def _checksum(tensors: Mapping[str, Tensor], orders: Mapping[str, Sequence[int]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {orders[name]}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
