"""Smooth random fields by element-wise arithmetic, so that every machine gets the same bytes."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from litelvlm.arrays import NDArray


@lru_cache(maxsize=256)
def _interpolation(
    length: int, cells: int
) -> tuple[Int[NDArray[np.int64], " length"], Float[NDArray[np.float32], " length"]]:
    position = np.arange(length, dtype=np.float32) * np.float32((cells - 1) / length)
    low = position.astype(np.int64)
    return low, position - low.astype(np.float32)


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cells: int | tuple[int, int]
) -> Float[NDArray[np.float32], "height width"]:
    """Bilinear noise in [-0.5, 0.5].

    Args:
        rng: Source of the knots.
        height: Pixels.
        width: Pixels.
        cells: Knots along the vertical and the horizontal side, or one number for both.
    """
    down, across = (cells, cells) if isinstance(cells, int) else cells
    knots = rng.random((down, across), dtype=np.float32) - np.float32(0.5)
    low_y, part_y = _interpolation(height, down)
    low_x, part_x = _interpolation(width, across)
    rows = knots[low_y] + part_y[:, None] * (knots[low_y + 1] - knots[low_y])
    left = rows[:, low_x]
    noise: NDArray[np.float32] = left + part_x * (rows[:, low_x + 1] - left)
    return noise
