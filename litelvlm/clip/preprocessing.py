"""How a family of towers turns a picture into the square that its image tower reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from litelvlm.clip.geometry import Crop, crop_box, padded_box


@dataclass(frozen=True)
class Preprocessing:
    """How a family turns a picture into the square its image tower reads.

    Attributes:
        mean: Subtracted per channel, of values in [0, 1].
        std: Divided by per channel.
        resize: "shortest" resizes the short side and cuts the centre square; "squash" resizes both
            sides to the square; "pad" resizes the long side and fills the square around it with the
            mean colour.
        resample: Interpolation of the resize.
    """

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    resize: Literal["shortest", "squash", "pad"] = "shortest"
    resample: Literal["bicubic", "bilinear"] = "bicubic"

    def crop(self, height: int, width: int, size: int) -> Crop:
        """What the square of side ``size`` shows of an image; labels follow this rule too."""
        if self.resize == "squash":
            return Crop(height, width, size, resized_height=size, resized_width=size, top=0, left=0)
        if self.resize == "pad":
            return padded_box(height, width, size)
        return crop_box(height, width, size)

    def __call__(self, image: Image.Image, size: int) -> Float[Tensor, "1 3 size size"]:
        """Resize, cut and normalise.

        Raises:
            ValueError: If the picture is not RGB.
        """
        if image.mode != "RGB":
            raise ValueError(
                f"the picture's mode is {image.mode!r}, not 'RGB'; read it with open_image"
            )
        crop = self.crop(image.height, image.width, size)
        kernel = (
            Image.Resampling.BILINEAR if self.resample == "bilinear" else Image.Resampling.BICUBIC
        )
        resized = image.resize((crop.resized_width, crop.resized_height), kernel)
        red, green, blue = (round(255 * value) for value in self.mean)
        square = Image.new("RGB", (size, size), (red, green, blue))
        square.paste(resized, (-crop.left, -crop.top))
        planes = torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255
        normal: Tensor = (planes - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[
            :, None, None
        ]
        return normal[None]


def per_channel(values: Sequence[float]) -> tuple[float, float, float]:
    """One number for each of red, green and blue."""
    red, green, blue = values
    return float(red), float(green), float(blue)
