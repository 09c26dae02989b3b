"""Which frames of a clip the towers read, and the video tower's input.

CLIP's input is that of its own tower (``litelvlm.clip.preprocessing``), SAM2's that of
``litelvlm.models.sam2.preprocess``.
"""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from litelvlm.arrays import NDArray
from litelvlm.data.images import to_rgb

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_ONE = 2048
"""1 in the fixed-point weights of OpenCV's resize."""


def language_frames(n_frames: int, num_frames: int) -> tuple[int, ...]:
    """Frames that the language model sees: a long clip is thinned out, a short one repeats its end.

    Args:
        n_frames: Of the clip, 1 or more.
        num_frames: That the language model reads.

    Example:
        >>> language_frames(10, 8), language_frames(3, 4)
        ((0, 1, 2, 3, 5, 6, 7, 9), (0, 1, 2, 2))

    Source: official code, ``chat.py`` and ``enc_preprocessors.py``.
    """
    if n_frames > num_frames:
        return tuple(np.linspace(0, n_frames - 1, num_frames, dtype=int).tolist())
    return (*range(n_frames), *[n_frames - 1] * (num_frames - n_frames))


def internvideo_pixel_values(image: Image.Image, size: int) -> Float[Tensor, "3 size size"]:
    """Stretch a frame to a square as OpenCV does, and normalise.

    Args:
        image: Frame of any mode.
        size: Side of the square in pixels.

    Source: InternVideo2, official code (``cv2.resize``, float64 until the end).
    """
    square = resize_fixed_point(np.asarray(to_rgb(image)), size, size)
    normal = (square / 255.0 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(normal).permute(2, 0, 1).float()


def resize_fixed_point(
    pixels: UInt8[NDArray[np.uint8], "h w c"], height: int, width: int
) -> UInt8[NDArray[np.uint8], "height width c"]:
    """Bilinear resize without antialiasing in OpenCV's whole numbers, equal to its ``resize``.

    Weights have 11 bits, rows are cut to 4 bits less, products to 16 less.
    """
    whole = pixels.astype(np.int64)
    left, right, near, far = _neighbours(width, pixels.shape[1])
    rows = (whole[:, left] * near[:, None] + whole[:, right] * far[:, None]) >> 4
    top, bottom, near, far = (side[:, None, None] for side in _neighbours(height, len(pixels)))
    upper, lower = rows[top[:, 0, 0]] * near, rows[bottom[:, 0, 0]] * far
    return (((upper >> 16) + (lower >> 16) + 2) >> 2).astype(np.uint8)


def _neighbours(n_out: int, n_in: int) -> tuple[Int[NDArray[np.int64], "n_out"], ...]:
    """Both pixels that each new one lies between, and their weights."""
    scale = 1 / (n_out / n_in)  # twice divided, as there: the last bit differs from n_in / n_out
    place = ((np.arange(n_out) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    share = place - first.astype(np.float32)
    weights = (np.rint(part * np.float32(_ONE)).astype(np.int64) for part in (1 - share, share))
    return first.clip(0, n_in - 1), (first + 1).clip(0, n_in - 1), *weights
