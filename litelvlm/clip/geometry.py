"""What CLIP's centre crop shows of an image, and how pixel masks map to visual tokens and back.

The integer rules are those of the Hugging Face CLIP processor: the short side becomes `size`, the
long side `int(size * long / short)`, and a centre square is cut at offset `(side - size) // 2`.
No token sees what lies outside the square.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from litelvlm.arrays import NDArray

Floats = NDArray[np.float64]
Mask = Bool[NDArray[np.bool_], "height width"] | UInt8[NDArray[np.uint8], "height width"]
Masks = (
    Bool[NDArray[np.bool_], "*frames height width"]
    | UInt8[NDArray[np.uint8], "*frames height width"]
)
"""Mask of an image, or masks of a clip's frames."""


@dataclass(frozen=True)
class Crop:
    """The square CLIP sees.

    Attributes:
        height: Image height in pixels.
        width: Image width in pixels.
        size: Side of the square in resized pixels.
        resized_height: Height after the resize.
        resized_width: Width after the resize.
        top: First row of the square, in resized pixels; negative where the square has a border
            there.
        left: First column of the square, in resized pixels; negative likewise.
    """

    height: int
    width: int
    size: int
    resized_height: int
    resized_width: int
    top: int
    left: int

    @property
    def scale(self) -> tuple[float, float]:
        """Resized pixels per image pixel, (vertical, horizontal).

        They differ by the rounding of the long side.
        """
        return self.resized_height / self.height, self.resized_width / self.width

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The square in image pixels: (top, left, bottom, right)."""
        # Multiplied before divided: exact where the result is a whole number.
        rows = [y * self.height / self.resized_height for y in (self.top, self.top + self.size)]
        columns = [x * self.width / self.resized_width for x in (self.left, self.left + self.size)]
        return rows[0], columns[0], rows[1], columns[1]


def crop_box(height: int, width: int, size: int = 336) -> Crop:
    """Find where the crop lies for an image of this height and width.

    Raises:
        ValueError: If a length is below 1.

    Example:
        >>> crop = crop_box(480, 640)
        >>> crop.resized_width, crop.left, crop.box
        (448, 56, (0.0, 80.0, 480.0, 560.0))
    """
    if min(height, width, size) < 1:
        raise ValueError(f"height {height}, width {width} and size {size} must all be at least 1")
    short, long = min(height, width), max(height, width)
    longer = int(size * long / short)
    resized_height, resized_width = (size, longer) if height <= width else (longer, size)
    top, left = (resized_height - size) // 2, (resized_width - size) // 2
    return Crop(height, width, size, resized_height, resized_width, top, left)


def padded_box(height: int, width: int, size: int = 336) -> Crop:
    """Place the whole image inside a square.

    The long side becomes ``size``, and a border fills the rest on both sides.

    Raises:
        ValueError: If a length is below 1.

    Example:
        >>> padded_box(480, 640).top, padded_box(480, 640).box
        (-42, (-80.0, 0.0, 560.0, 640.0))
    """
    if min(height, width, size) < 1:
        raise ValueError(f"height {height}, width {width} and size {size} must all be at least 1")
    scale = size / max(height, width)
    resized_height, resized_width = max(1, round(height * scale)), max(1, round(width * scale))
    return Crop(
        height,
        width,
        size,
        resized_height,
        resized_width,
        (resized_height - size) // 2,
        (resized_width - size) // 2,
    )


def _overlap(edges: Floats, length: int) -> Floats:
    """Share of each pixel inside each interval between successive edges, [intervals, length]."""
    pixels = np.arange(length)
    low = np.maximum(edges[:-1, None], pixels[None, :])
    high = np.minimum(edges[1:, None], pixels[None, :] + 1)
    shared: Floats = np.maximum(high - low, 0.0)
    return shared


def _cell_edges(crop: Crop, grid: tuple[int, int]) -> tuple[Floats, Floats]:
    """Borders of the token rows and columns in image pixels, [rows + 1] and [columns + 1]."""
    rows, columns = grid
    if not (1 <= rows <= crop.size and 1 <= columns <= crop.size):
        raise ValueError(
            f"grid {grid} does not fit a square of {crop.size} pixels; "
            "give (rows, columns) of the tower"
        )
    # A patch has a whole number of pixels; a remainder at the right and bottom is seen by no token.
    y = crop.top + np.arange(rows + 1) * (crop.size // rows)
    x = crop.left + np.arange(columns + 1) * (crop.size // columns)
    return y * crop.height / crop.resized_height, x * crop.width / crop.resized_width


def coverage(
    mask: Mask, grid: tuple[int, int] = (24, 24), size: int = 336, crop: Crop | None = None
) -> Float[NDArray[np.float32], "rows columns"]:
    """Share of each token's patch that a mask covers, 0 to 1 (float32).

    This is the exact area average: resizing by area, cropping and pooling per patch in one step.

    Args:
        mask: Any pixel above 0 belongs to the object.
        grid: (rows, columns) of tokens.
        size: Side of the CLIP input in pixels.
        crop: What the tower sees of an image of this size, where it is not CLIP's centre square.

    Raises:
        ValueError: If the grid does not fit the size.
    """
    height, width = mask.shape
    y, x = _cell_edges(crop or crop_box(height, width, size), grid)
    down, across = _overlap(y, height), _overlap(x, width)
    area = np.diff(y)[:, None] * np.diff(x)[None, :]
    # Rounding may overshoot by one part in 1e16.
    share: NDArray[np.float32] = np.clip(
        down @ (mask > 0).astype(np.float64) @ across.T / area, 0.0, 1.0
    ).astype(np.float32)
    return share


def visible_fraction(mask: Masks, size: int = 336, crop: Crop | None = None) -> float:
    """Share of a mask's area inside the crop (CLIP's centre square if none is given), 0 to 1.

    Args:
        mask: Mask of an image, or those of a clip's frames, whose areas are added up.
        size: Side of the CLIP input in pixels.
        crop: What the tower sees of an image of this size, where it is not CLIP's centre square.

    Raises:
        ValueError: If the mask is empty, which has no such share.
    """
    height, width = mask.shape[-2:]
    inside = (mask > 0).reshape(-1, height, width).sum(axis=0)
    total = int(inside.sum())
    if total == 0:
        raise ValueError(
            "the mask is empty, so its visible share is undefined; leave out no-target expressions"
        )
    top, left, bottom, right = (crop or crop_box(height, width, size)).box
    down = _overlap(np.array([top, bottom]), height)[0]
    across = _overlap(np.array([left, right]), width)[0]
    return float(min(1.0, down @ inside.astype(np.float64) @ across / total))


def coverage_to_pixels(
    grid_map: Float[NDArray[np.float32], "rows columns"],
    height: int,
    width: int,
    size: int = 336,
    crop: Crop | None = None,
) -> Float[NDArray[np.float32], "height width"]:
    """Spread one value per token over the image.

    Each pixel gets the value of the token that sees it, and NaN where no token sees it.

    Args:
        grid_map: One value per token.
        height: Image height in pixels.
        width: Image width in pixels.
        size: Side of the CLIP input in pixels.
        crop: What the tower sees of an image of this size, where it is not CLIP's centre square.
    """
    rows, columns = grid_map.shape
    y, x = _cell_edges(crop or crop_box(height, width, size), (rows, columns))
    row = np.searchsorted(y, np.arange(height) + 0.5, side="right") - 1
    column = np.searchsorted(x, np.arange(width) + 0.5, side="right") - 1
    pixels = np.full((height, width), np.nan, dtype=np.float32)
    seen = np.ix_((row >= 0) & (row < rows), (column >= 0) & (column < columns))
    pixels[seen] = grid_map[
        np.ix_(row[(row >= 0) & (row < rows)], column[(column >= 0) & (column < columns)])
    ]
    return pixels
