"""Masks as PNG files, without loss and whole or absent."""

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from litelvlm.arrays import Array
from litelvlm.data.files import atomic_write


def write_masks(path: str | Path, masks: Bool[Array, "n height width"]) -> tuple[Path, ...]:
    """Write masks as PNG files, 255 where they are true and 0 elsewhere.

    Args:
        path: File of a single mask; several are numbered (`numbered`).
        masks: One or several.

    Raises:
        ValueError: If the name does not end in ".png".
    """
    path = Path(path).expanduser()
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path} must end in .png: masks are written without loss")
    files = [numbered(path, i, len(masks)) for i in range(len(masks))]
    for file, mask in zip(files, masks, strict=True):
        atomic_write(file, png(np.where(mask, np.uint8(255), np.uint8(0))))
    return tuple(files)


def numbered(path: Path, i: int, n: int) -> Path:
    """File of the i-th of n masks: the path itself if n is 1, else `name-1.png`, `name-2.png`."""
    return path if n == 1 else path.with_name(f"{path.stem}-{i + 1}{path.suffix}")


def png(pixels: UInt8[Array, "height width *channels"]) -> bytes:
    """Encode [height, width] or [height, width, 3] uint8 pixels as PNG."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
