"""Which frames UniPixel's language model reads, at which size, and the patches they make.

Source: official code, reader of the evaluation.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from litelvlm.layout import Layout
from litelvlm.models.view import ImageView
from litelvlm.models.vlm_base.views import whole_picture

SAMPLED = 16
"""Frames of a clip that the language model reads at most."""
PATCH, MERGE, FRAMES_AT_ONCE = 14, 2, 2
"""Pixels of a patch, patches of a token along each side, frames that one token sees."""
CELL = PATCH * MERGE
_FEWEST, _MOST = 128 * CELL**2, 256 * CELL**2
"""Pixels of a frame, where all 16 are read; fewer frames may be larger."""
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def sampled(n_frames: int) -> list[int]:
    """Frames of a clip that the language model reads: all, or 16 evenly spread.

    Example:
        >>> sampled(3), len(sampled(100)), sampled(17)[7:9]
        ([0, 1, 2], 16, [7, 9])
    """
    if n_frames <= SAMPLED:
        return list(range(n_frames))
    places = np.arange(0, n_frames, (n_frames - 1) / (SAMPLED - 1))[:SAMPLED]
    return [int(place) for place in places.round()]


def resized_size(height: int, width: int, n_read: int) -> tuple[int, int]:
    """(height, width) that a frame is resized to, in whole tokens.

    Args:
        height: Of the frame in pixels.
        width: Likewise.
        n_read: Frames that the language model reads.

    Raises:
        ValueError: If one side is more than 200 times the other.

    Example:
        >>> resized_size(480, 640, 1)
        (476, 644)
    """
    most = _MOST * (SAMPLED // n_read)
    if max(height, width) > 200 * min(height, width):
        raise ValueError(
            f"a frame of {height} x {width} pixels is more than 200 times longer than wide, which "
            "the model does not read; cut it"
        )
    rows, columns = smart_resize(height, width, CELL, _FEWEST, most)
    return int(rows), int(columns)


def frame_view(height: int, width: int, n_frames: int) -> ImageView:
    """Where the visual tokens of a clip lie; an odd last frame is seen by a group of its own."""
    frames = sampled(n_frames)
    groups = tuple(tuple(frames[n : n + FRAMES_AT_ONCE]) for n in range(0, len(frames), 2))
    rows, columns = (side // CELL for side in resized_size(height, width, len(frames)))
    layout = Layout(len(groups), rows, columns)
    return whole_picture(height, width, layout, () if n_frames == 1 else groups)


def patch_rows(images: Sequence[Image.Image]) -> Float[Tensor, "p d"]:
    """Normalised patches of the frames read, in the order of the image tower.

    Patches of a token follow each other. An odd number of frames repeats the last one.

    Args:
        images: The frames that the language model reads.
    """
    height, width = resized_size(images[0].height, images[0].width, len(images))
    # The default filter of Pillow's resize, as the official code calls it.
    small = [np.array(one.resize((width, height), Image.Resampling.BICUBIC)) for one in images]
    small += small[-1:] * (len(small) % FRAMES_AT_ONCE)
    pixels = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
    cells = ((pixels - mean) / std).reshape(
        len(small) // FRAMES_AT_ONCE, FRAMES_AT_ONCE, 3,
        height // CELL, MERGE, PATCH, width // CELL, MERGE, PATCH,
    )  # fmt: skip
    return cells.permute(0, 3, 6, 4, 7, 2, 1, 5, 8).flatten(5).flatten(0, 4)
