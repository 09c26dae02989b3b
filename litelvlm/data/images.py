"""Picture files of any kind read as RGB, damaged ones refused."""

import struct
from io import BytesIO
from pathlib import Path
from warnings import catch_warnings, simplefilter

import numpy as np
from PIL import Image, ImageOps

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow's decoders raise on damaged files, all meaning the same to a caller.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, *BOMBS)
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Types of files that are opened: pixels only. Pillow would run Ghostscript for PostScript."""


def open_image(source: Image.Image | str | Path | bytes, upright: bool = True) -> Image.Image:
    """Read a picture as RGB.

    A file is turned upright by its EXIF tag, as OpenCV does in the official code; a picture that is
    open already is left as it lies, so that masks have its size.

    Args:
        source: Picture, path, or the bytes of an image file.
        upright: False leaves a file as it lies too.

    Raises:
        FileNotFoundError: If the path does not exist.
        ValueError: If there are no pixels, or the content is damaged, truncated, no image, or above
            Pillow's pixel limit (89 million).
    """
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if isinstance(source, bytes):
        name, content = f"the {len(source)} bytes given", source
    else:
        name, content = str(source), _read(Path(source))
    if not content:
        raise ValueError(f"{name}: no image, the content is empty")
    try:
        with catch_warnings():
            simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content), formats=FORMATS) as picture:
                picture.load()
                loaded = ImageOps.exif_transpose(picture) if upright else picture
    except DAMAGED as error:
        raise ValueError(
            f"{name}: not a readable image ({error}); it may be truncated or of another type "
            f"(read are {', '.join(FORMATS)})"
        ) from error
    return to_rgb(loaded)


def image_size(content: bytes) -> tuple[int, int]:
    """Width and height of an image file, whose pixels are not read.

    Raises:
        ValueError: If it is no image of ``FORMATS``, damaged, or above Pillow's pixel limit.
    """
    try:
        with catch_warnings():
            simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content), formats=FORMATS) as picture:
                return picture.size
    except DAMAGED as error:
        raise ValueError(str(error)) from error


def _read(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"there is no image at {path}")
    if not path.is_file():
        raise ValueError(f"{path} is no file; give the path of one image")
    return path.read_bytes()


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any picture to 8-bit RGB.

    Grey is repeated, a palette looked up, 16 bits cut to the high byte, alpha dropped. Dropping
    alpha and the low byte is what OpenCV's colour reader does.

    Raises:
        ValueError: If there are no pixels, or the pixels are floats, whose range nobody agreed on.
    """
    if 0 in image.size:
        raise ValueError(f"the image has no pixels: {image.width} x {image.height}")
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise ValueError(
            "the image holds floats without a known range; save it with 8 bits per channel"
        )
    # "I;16" in its byte orders, or "I", which Pillow uses for 16-bit PGM.
    if image.mode.startswith("I"):
        high = np.clip(np.asarray(image).astype(np.int64), 0, 2**16 - 1) >> 8
        return Image.fromarray(high.astype(np.uint8)).convert("RGB")
    if image.mode in ("P", "PA"):  # a palette with transparency reaches RGB cleanly only over RGBA
        image = image.convert("RGBA")
    return image.convert("RGB")
