"""Picture files of every kind to RGB."""

import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from litelvlm.data.images import open_image, to_rgb


def encoded(image, kind="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def noise():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I"]
)
def test_every_mode_becomes_rgb(mode):
    rgb = to_rgb(Image.new(mode, (5, 4)))
    assert (rgb.mode, rgb.size) == ("RGB", (5, 4))


def test_sixteen_bits_keep_their_high_byte():
    # 65535 -> 255, 32768 -> 128, 300 -> 1; a plain conversion would clip all three to 255.
    deep = Image.fromarray(np.array([[65535, 32768, 300, 0]], dtype=np.uint16))
    assert [to_rgb(deep).getpixel((x, 0))[0] for x in range(4)] == [255, 128, 1, 0]
    assert open_image(encoded(deep)).getpixel((1, 0)) == (128, 128, 128)


def test_alpha_is_dropped_and_palettes_are_looked_up(noise):
    see_through = noise.copy()
    see_through.putalpha(0)
    assert np.array_equal(to_rgb(see_through), noise)
    palette = noise.quantize(16)
    palette.info["transparency"] = bytes([0] * 16)
    assert np.array_equal(to_rgb(palette), noise.quantize(16).convert("RGB"))


def test_files_are_turned_upright_and_open_pictures_are_not(noise, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter clockwise
    noise.save(tmp_path / "turned.png", exif=exif)
    assert open_image(tmp_path / "turned.png").size == (30, 40)
    assert np.array_equal(
        open_image(str(tmp_path / "turned.png")), noise.transpose(Image.Transpose.ROTATE_270)
    )
    with Image.open(tmp_path / "turned.png") as picture:
        assert open_image(picture).size == (40, 30)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_truncated_files_are_refused(noise, kind, tmp_path):
    content = encoded(noise, kind)
    path = tmp_path / "cut.img"
    for end in (1, 10, len(content) // 3, len(content) // 2):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            open_image(path)


def test_absent_empty_and_foreign_sources_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        open_image(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="is not a file"):
        open_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png: no image, the content is empty"):
        open_image(tmp_path / "empty.png")
    with pytest.raises(ValueError, match="the 5 bytes given: not a readable image"):
        open_image(b"hello")
    with pytest.raises(ValueError, match="has no pixels: 0 x 5"):
        to_rgb(Image.new("RGB", (0, 5)))
    with pytest.raises(ValueError, match="floats without a known range"):
        to_rgb(Image.new("F", (2, 2)))


def test_pictures_above_the_pixel_limit_are_refused(monkeypatch):
    buffer = BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "PNG")
    # The picture has 1600 pixels: Pillow alone would only warn.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="exceeds limit"):
        open_image(buffer.getvalue())


def test_pixels_of_an_array_are_a_picture(noise):
    pixels = np.asarray(noise)
    assert np.array_equal(open_image(pixels), noise)
    assert np.array_equal(open_image(pixels[::-1]), pixels[::-1])
    see_through = np.concatenate([pixels, np.zeros((30, 40, 1), np.uint8)], axis=2)
    assert np.array_equal(open_image(see_through), noise)
    grey = np.asarray(open_image(pixels[..., 0]))
    assert np.array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5, 3)), "holds uint8, got float64; scale 0 to 1 with (255 * image).round()"),
        (np.zeros((4, 5), np.int64), "holds uint8, got int64; use 0 to 255 in uint8"),
        (np.zeros((3, 4, 5), np.uint8), "shape (3, 4, 5) cannot be read; give [height, width]"),
        (np.zeros((3, 4, 5), np.uint8), "put the channels last"),
        (np.zeros(4, np.uint8), "shape (4,) cannot be read"),
        (np.zeros((0, 5, 3), np.uint8), "the image has no pixels"),
    ],
)
def test_an_array_that_is_no_picture_is_refused_with_the_fix(array, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        open_image(array)
