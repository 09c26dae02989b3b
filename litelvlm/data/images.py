"""Picture files of any kind read as RGB, damaged ones refused."""

import struct
from io import BytesIO
from pathlib import Path
from typing import TypeAlias
from warnings import catch_warnings, simplefilter

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from litelvlm.arrays import Array

ImageSource: TypeAlias = Image.Image | Array | str | Path | bytes
"""A picture, its pixels (uint8 [height, width] or [height, width, 3 or 4]), a path, or a file."""
KINDS = "a PIL picture, a NumPy array of uint8 [height, width, 3], a path, or the bytes of a file"
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow's decoders raise on damaged files, all meaning the same to a caller.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, *BOMBS)
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Types of files that are opened: pixels only. Pillow would run Ghostscript for PostScript."""


def open_image(source: ImageSource, upright: bool = True) -> Image.Image:
    """Read a picture as RGB.

    A file is turned upright by its EXIF tag, as OpenCV does in the official code; a picture that is
    open already is left as it lies, so that masks have its size. Of a file that holds several
    pictures, such as pages or frames, the first is read, as OpenCV does too.

    Args:
        source: Picture; its pixels as a NumPy array of uint8, [height, width] grey or [height,
            width, channels] with 3 (RGB) or 4 (RGB and alpha); path; or the bytes of an image file.
        upright: False leaves a file as it lies too.

    Raises:
        FileNotFoundError: If the path does not exist.
        TypeError: If the source is none of these.
        ValueError: If there are no pixels, or the content is damaged, truncated, no image, or above
            Pillow's pixel limit (89 million).
    """
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if isinstance(source, np.ndarray):
        return to_rgb(_from_pixels(source))
    if not isinstance(source, str | Path | bytes):
        raise TypeError(f"an image is {KINDS}; got {type(source).__name__}")
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
            f"{name}: not a readable image ({why_unreadable(error)}); it may be truncated or of "
            f"another type (read are {', '.join(FORMATS)})"
        ) from error
    return to_rgb(loaded)


def image_size(source: bytes | Path) -> tuple[int, int]:
    """Width and height of an image file, whose pixels are not read.

    Args:
        source: Its content, or its path.

    Raises:
        ValueError: If it is no image of ``FORMATS``, damaged, or above Pillow's pixel limit.
    """
    try:
        with catch_warnings():
            simplefilter("error", Image.DecompressionBombWarning)
            file = BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=FORMATS) as picture:
                return picture.size
    except DAMAGED as error:
        raise ValueError(why_unreadable(error)) from error


def is_turned(path: Path) -> bool:
    """Whether the EXIF tag of a readable picture asks to turn or to mirror it."""
    with Image.open(path, formats=FORMATS) as picture:
        return picture.getexif().get(ExifTags.Base.Orientation) in range(2, 9)


def why_unreadable(error: Exception) -> str:
    """What a decoder said, without the name of an object in memory."""
    return "no known format" if isinstance(error, UnidentifiedImageError) else str(error)


def _from_pixels(pixels: Array) -> Image.Image:
    shape = pixels.shape
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)):
        hint = "; put the channels last" if len(shape) == 3 and shape[0] in (1, 3, 4) else ""
        raise ValueError(
            f"an image of shape {shape} cannot be read; give [height, width] or "
            f"[height, width, 3 or 4]{hint}"
        )
    if pixels.dtype != np.uint8:
        scaled = "(255 * image).round().astype('uint8')"
        fix = f"scale 0 to 1 with {scaled}" if pixels.dtype.kind == "f" else "use 0 to 255 in uint8"
        raise ValueError(f"an image array holds uint8, got {pixels.dtype}; {fix}")
    if 0 in shape:
        raise ValueError(f"the image has no pixels: its shape is {shape}")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _read(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"there is no image at {path}")
    if not path.is_file():
        raise ValueError(f"{path} is not a file; give the path of one image")
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
