"""Masks as PNG files, without loss and whole or absent."""

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from litelvlm.arrays import Array
from litelvlm.data.files import atomic_write


def write_masks(path: str | Path, masks: Bool[Array, "n *frames height width"]) -> tuple[Path, ...]:
    """Write masks as PNG files, 255 where they are true and 0 elsewhere.

    Args:
        path: File of a single mask of a single frame; else the files are numbered (``numbered``).
        masks: One or several, of an image or of the frames of a clip.

    Raises:
        ValueError: If the name does not end in ".png".
    """
    path = Path(path).expanduser()
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path} must end in .png: masks are written without loss")
    planes = masks.reshape(len(masks), -1, *masks.shape[-2:])
    n, frames = planes.shape[:2]
    files = [
        numbered(file, frame, frames)
        for file in (numbered(path, i, n, also=frames > 1) for i in range(n))
        for frame in range(frames)
    ]
    for file, mask in zip(files, planes.reshape(-1, *planes.shape[2:]), strict=True):
        atomic_write(file, png(np.where(mask, np.uint8(255), np.uint8(0))))
    return tuple(files)


def numbered(path: Path, i: int, n: int, also: bool = False) -> Path:
    """File of the i-th of n: `name-1.png`, `name-2.png`; the path itself if n is 1.

    Args:
        path: Of the first.
        i: From 0.
        n: Of them.
        also: Number a single one, too.

    Example:
        >>> numbered(Path("a.png"), 1, 3).name, numbered(Path("a.png"), 0, 1).name
        ('a-2.png', 'a.png')
    """
    return path.with_name(f"{path.stem}-{i + 1}{path.suffix}") if n > 1 or also else path


def png(pixels: UInt8[Array, "height width *channels"]) -> bytes:
    """Encode [height, width] or [height, width, 3] uint8 pixels as PNG."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
