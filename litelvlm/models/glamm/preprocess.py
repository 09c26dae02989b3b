"""From an image to the inputs of CLIP (centre crop) and SAM (long side, zero-padded square)."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.data.images import to_rgb
from litelvlm.models.sam2.preprocess import sam_size

CLIP_MEAN, CLIP_STD = Preprocessing().mean, Preprocessing().std
SAM_MEAN = (123.675, 116.28, 103.53)
SAM_STD = (58.395, 57.12, 57.375)


def sam_pixel_values(
    image: Image.Image, size: int
) -> tuple[Float[Tensor, "1 3 size size"], tuple[int, int]]:
    """Resize the longer side (bilinear), normalise, and pad with zeros at the right and bottom.

    Args:
        image: Image of any mode.
        size: Side of the square in pixels (1024 for SAM).

    Returns:
        The square and the (height, width) of the image inside it.

    Source: GLaMM official code (``ResizeLongestSide`` of Segment Anything; padding after
        normalisation).
    """
    height, width = sam_size(image.height, image.width, size)
    resized = to_rgb(image).resize((width, height), Image.Resampling.BILINEAR)
    square = torch.zeros(1, 3, size, size)
    planes = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
    normal = (planes - torch.tensor(SAM_MEAN)[:, None, None]) / torch.tensor(SAM_STD)[:, None, None]
    square[0, :, :height, :width] = normal
    return square, (height, width)
