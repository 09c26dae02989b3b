"""Arrays of the explorer page in few characters; ``templates/explore_unpack.js`` reads them."""

import base64
import io

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image
from pycocotools import mask as coco

from litelvlm.arrays import Array

STEPS = 2**16 - 1
"""Steps that a score is rounded to between the lowest and the highest of its array."""


def pack_bytes(values: Array) -> str:
    """The bytes of an array in base64, little-endian."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def pack_bits(flags: Bool[Array, "n"]) -> str:
    """One bit per flag, the first in the lowest bit of the first byte.

    Example:
        >>> list(base64.b64decode(pack_bits(np.array([True, False, False, True]))))
        [9]
    """
    return pack_bytes(np.packbits(flags, bitorder="little"))


def pack_levels(values: Float[Array, "..."]) -> dict[str, float | str]:
    """Finite numbers as 16-bit steps between their ends: an error below a 65,535th of the range.

    Returns:
        "low" and "high", the ends; "values", the steps in base64, in C order.

    Raises:
        ValueError: If a number is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError(
            "an array for the explorer holds numbers that are not finite; check the model's "
            "number type"
        )
    low, high = float(values.min()), float(values.max())
    steps = (values.astype(np.float64) - low) * (STEPS / (high - low) if high > low else 0.0)
    return {"low": low, "high": high, "values": pack_bytes(np.rint(steps).astype(np.uint16))}


def pack_order(order: Int[Array, "n"]) -> str:
    """A ranking as the tokens' indices, first rank first, 16 bits each."""
    return pack_bytes(order.astype(np.uint16))


def pack_mask(mask: Bool[Array, "height width"], size: tuple[int, int]) -> str:
    """A mask, resized by nearest neighbour, as COCO's compressed run lengths (column by column).

    Args:
        mask: Foreground.
        size: (width, height) of the page's picture.
    """
    pixels = np.asarray(
        Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    )
    counts: bytes = coco.encode(np.asfortranarray(pixels))["counts"]
    return counts.decode("ascii")


def pack_picture(picture: Image.Image, longest: int) -> tuple[str, tuple[int, int]]:
    """A picture as a JPEG data URL with sides up to ``longest`` pixels, and its (width, height)."""
    shown = picture.convert("RGB")
    shown.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=84, optimize=True)
    return (
        f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}",
        shown.size,
    )
