"""How a model turns a picture into what its image tower reads, and where its tokens lie."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from transformers.image_processing_utils import BaseImageProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from litelvlm.clip.preprocessing import Preprocessing, per_channel
from litelvlm.layout import Layout
from litelvlm.models.view import ImageView
from litelvlm.models.vlm_base.views import whole_picture

KERNELS: Mapping[object, Literal["bicubic", "bilinear"]] = MappingProxyType(
    {Image.Resampling.BICUBIC: "bicubic", Image.Resampling.BILINEAR: "bilinear"}
)
STEPS = ("do_resize", "do_rescale", "do_normalize")
PADDING = ("LlavaImageProcessor", "LlavaImageProcessorFast")
"""Image processors that pad to a square where ``do_pad`` is on."""


class PictureReader(ABC):
    """What a family makes of a picture."""

    @abstractmethod
    def view(self, height: int, width: int) -> ImageView:
        """Where the visual tokens of an image of this size in pixels lie; runs no model."""

    @abstractmethod
    def tensors(self, picture: Image.Image) -> Mapping[str, Tensor]:
        """Arguments of the model's ``forward`` that hold one picture."""


@dataclass(frozen=True)
class SquareReader(PictureReader):
    """One square of fixed size, a patch to a token, as LLaVA-1.5 reads it.

    Attributes:
        preprocessing: Resize, cut and normalisation.
        size: Side of the square in pixels.
        patch: Side of a patch in pixels.
    """

    preprocessing: Preprocessing
    size: int
    patch: int

    def view(self, height: int, width: int) -> ImageView:
        """The tower's own crop."""
        side = self.size // self.patch
        crop = self.preprocessing.crop(height, width, self.size)
        return ImageView(Layout(1, side, side), crop, self.size)

    def tensors(self, picture: Image.Image) -> Mapping[str, Tensor]:
        """Pixels [1, 3, size, size]."""
        return {"pixel_values": self.preprocessing(picture, self.size)}


@dataclass(frozen=True)
class GridReader(PictureReader):
    """The whole picture, both sides rounded to whole tokens, as the Qwen-VL families read it.

    Attributes:
        processor: The model's image processor.
        patch: Side of a patch in pixels.
        merge: Patches of a token along each side.
    """

    processor: BaseImageProcessor
    patch: int
    merge: int

    def view(self, height: int, width: int) -> ImageView:
        """A grid over the whole picture: every pixel has a token."""
        size = self.processor.to_dict()["size"]
        cell = self.patch * self.merge
        resized = smart_resize(
            height, width, cell, int(size["shortest_edge"]), int(size["longest_edge"])
        )
        layout = Layout(1, resized[0] // cell, resized[1] // cell)
        return whole_picture(height, width, layout)

    def tensors(self, picture: Image.Image) -> Mapping[str, Tensor]:
        """Patches as rows, and their grid (time, height, width)."""
        made = self.processor(images=[picture], return_tensors="pt")
        return {name: torch.as_tensor(made[name]) for name in ("pixel_values", "image_grid_thw")}


def preprocessing_of(processor: BaseImageProcessor, size: int) -> Preprocessing:
    """Resize, cut and normalisation of an image processor.

    Args:
        processor: Of a model that reads squares.
        size: Side of its square in pixels.

    Raises:
        ValueError: If the processor does what we cannot repeat token by token.
    """
    standard = Preprocessing()
    stored = processor.to_dict()
    kernel = stored.get("resample", Image.Resampling.BICUBIC)
    check_steps(stored, size, kernel)
    return Preprocessing(
        per_channel(stored.get("image_mean") or standard.mean),
        per_channel(stored.get("image_std") or standard.std),
        resize_rule(stored),
        KERNELS[kernel],
    )


def resize_rule(stored: Mapping[str, object]) -> Literal["shortest", "squash"]:
    """How a processor makes a picture square: it stretches to a height and a width, or it cuts."""
    size = stored.get("size")
    return "squash" if isinstance(size, Mapping) and "height" in size else "shortest"


def check_steps(stored: Mapping[str, object], size: int, kernel: object) -> None:
    """Refuse a processor whose squares are not those that ``Preprocessing`` makes."""
    cuts, rule = bool(stored.get("do_center_crop")), resize_rule(stored)
    problems = [f"{step} is off" for step in STEPS if stored.get(step) is False]
    if not math.isclose(float(str(stored.get("rescale_factor", 1 / 255))), 1 / 255):
        problems.append(f"rescale_factor {stored['rescale_factor']!r} is not 1/255")
    if kernel not in KERNELS:
        problems.append(f"resample {kernel!r} is neither bicubic (3) nor bilinear (2)")
    if rule == "shortest" and not cuts:
        problems.append("do_center_crop is off, so a picture is not a square")
    # Other classes of transformers store the field and do not read it.
    if stored.get("do_pad") and stored.get("image_processor_type") in PADDING:
        problems.append("do_pad is on")
    for field in ("size", "crop_size") if cuts else ("size",):
        sides = stored.get(field)
        given = set(sides.values()) if isinstance(sides, Mapping) else {sides}
        if given - {None, size}:
            problems.append(f"{field} {sides!r} is not the {size} pixels of the image tower")
    if problems:
        raise ValueError(
            f"the image processor cannot be repeated token by token: {'; '.join(problems)}; give "
            "the processor that belongs to the model (processor=, preprocessor_config.json)"
        )
