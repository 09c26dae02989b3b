"""From a picture to SAM2's square input, by the rules of the systems that use it."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
MEAN_255 = (123.675, 116.28, 103.53)
STD_255 = (58.395, 57.12, 57.375)


SquareInput: TypeAlias = Callable[[Image.Image, int], Tensor]
"""Makes SAM2's input [3, side, side] of a picture and a side; the picture's shape is lost."""


def sam_size(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) with the longer side at ``size``, both rounded half up.

    Raises:
        ValueError: If the image is so narrow that its shorter side would have no pixel.
    """
    scale = size / max(height, width)
    resized = int(height * scale + 0.5), int(width * scale + 0.5)
    if 0 in resized:
        raise ValueError(
            f"an image of {height} x {width} pixels is too narrow to be resized to {size} pixels"
        )
    return resized


def stretched(image: Image.Image, side: int) -> Float[Tensor, "3 {side} {side}"]:
    """Numbers 0 to 1, stretched with antialiasing, then normalised.

    Source: UniPixel.
    """
    pixels = _pixels(image) / 255
    return _normalised(_square(pixels, side, antialias=True), MEAN, STD)


def longest_side_stretched(image: Image.Image, side: int) -> Float[Tensor, "3 {side} {side}"]:
    """Resized to the longest side, normalised, then stretched without antialiasing.

    Raises:
        ValueError: If the image is so narrow that its shorter side would have no pixel.

    Source: VideoGLaMM.
    """
    height, width = sam_size(image.height, image.width, side)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    normal = _normalised(_pixels(resized), MEAN_255, STD_255)
    return _square(normal, side, antialias=False)


def _pixels(image: Image.Image) -> Float[Tensor, "3 height width"]:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float()


def _normalised(
    pixels: Float[Tensor, "3 height width"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "3 height width"]:
    shape = (3, 1, 1)
    return (pixels - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)


def _square(
    pixels: Float[Tensor, "3 height width"], side: int, antialias: bool
) -> Float[Tensor, "3 {side} {side}"]:
    resized = F.interpolate(
        pixels[None], (side, side), mode="bilinear", align_corners=False, antialias=antialias
    )
    return resized[0]
