"""Where boxes lie: what each image processor shows is where the numbers of its model are put."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    GotOcr2ImageProcessor,
    LlavaNextImageProcessor,
    Qwen2VLImageProcessor,
)

from litelvlm.metrics.boxes import Box, BoxScale, box_iou
from litelvlm.models.vlm.boxes import box_scale
from litelvlm.models.vlm.families import VLM_FAMILIES
from litelvlm.models.vlm.model import Vlm, padded

SIZES = [(300, 200), (200, 300), (331, 167), (97, 97)]
"""Width and height: landscape, portrait, odd, square."""


def painted(width, height):
    """A black picture with a white box in its middle, and that box."""
    box = (3 * width // 8, 3 * height // 8, 5 * width // 8, 5 * height // 8)
    picture = Image.new("RGB", (width, height))
    picture.paste("white", box)
    return picture, Box(*map(float, box))


def white_in(shown):
    """The white box in normalised pixels [3, h, w], in pixels of these."""
    bright = shown.float().mean(0)
    inside = (bright > (bright.max() + bright.min()) / 2).numpy()
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def share_of(box, shown):
    """A box in pixels of what a model is shown [3, h, w] as shares of its sides."""
    height, width = shown.shape[-2:]
    return Box(box.left / width, box.top / height, box.right / width, box.bottom / height)


def pixels_of_patches(made, patch, merge):
    """The picture [3, h, w] that a Qwen-VL's rows of patches hold."""
    _, rows, columns = made["image_grid_thw"][0].tolist()
    blocks = made["pixel_values"].reshape(
        rows // merge, columns // merge, merge, merge, 3, -1, patch, patch
    )[:, :, :, :, :, 0]
    return blocks.permute(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * patch, columns * patch)


def plain(family, processor, pad=False):
    """A model of which only its family and its image processor are known."""
    return Vlm(
        name=f"vlm:{family}",
        digest="",
        network=None,
        family=VLM_FAMILIES[family],
        processor=SimpleNamespace(image_processor=processor),
        prompter=None,
        pad=pad,
    )


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("pad", [False, True])
def test_shares_of_llava_are_of_the_square_that_it_is_shown(models, width, height, pad):
    model = replace(models["llava"], pad=pad)
    picture, box = painted(width, height)
    shown = model.reader.tensors(padded(picture) if pad else picture)["pixel_values"][0]
    said = share_of(white_in(shown), shown)
    scale = box_scale(model, "0-1", height, width)
    assert scale.range == (1.0, 1.0)
    assert box_iou(scale.in_picture(said), box) > 0.93
    # Exact, not near: the box of the whole picture comes back as that of the square.
    square = scale.in_picture(Box(0, 0, 1, 1))
    side = max(width, height) if pad else min(width, height)
    assert square.right - square.left == pytest.approx(side, rel=0.01)
    assert square.bottom - square.top == pytest.approx(side, rel=0.01)
    thousand = box_scale(model, "0-1000", height, width)
    assert thousand.in_picture(Box(*(1000 * place for place in said))) == pytest.approx(
        scale.in_picture(said)
    )


def test_a_padded_square_reaches_beyond_the_picture(models):
    model = replace(models["llava"], pad=True)
    assert box_scale(model, "0-1", 200, 300) == BoxScale(Box(0, -50, 300, 250), (1.0, 1.0))
    assert box_scale(model, "0-1", 301, 200) == BoxScale(Box(-50, 0, 251, 301), (1.0, 1.0))


def test_a_cut_square_lies_inside_the_picture(models):
    # 336 x 504 pixels are resized to 168 x 252 and cut at 42.
    assert box_scale(models["llava"], "0-1", 336, 504).seen == Box(84, 0, 420, 336)
    assert box_scale(models["llava"], "0-1", 504, 336).seen == Box(0, 84, 336, 420)


@pytest.mark.parametrize(("width", "height"), [*SIZES, (1000, 40), (30, 20), (2000, 1500)])
def test_pixels_of_qwen_are_those_of_the_picture_as_its_processor_resizes_it(models, width, height):
    model = models["qwen2_5_vl"]
    picture, box = painted(width, height)
    made = model.processor.image_processor(images=[picture], return_tensors="pt")
    shown = pixels_of_patches(made, model.reader.patch, model.reader.merge)
    scale = box_scale(model, "pixels", height, width)
    assert scale == BoxScale(
        Box(0, 0, width, height), (float(shown.shape[2]), float(shown.shape[1]))
    )
    if min(width, height) > 90:
        assert box_iou(scale.in_picture(white_in(shown)), box) > 0.85


def test_the_published_processor_of_qwen_resizes_as_documented(models):
    # 640 x 427 becomes 644 x 420, whole cells of 28 pixels; a share is of the resized sides.
    reader = replace(models["qwen2_5_vl"].reader, processor=Qwen2VLImageProcessor(), patch=14)
    scale = box_scale(replace(models["qwen2_5_vl"], reader=reader), "pixels", 427, 640)
    assert scale.range == (644.0, 420.0)
    assert scale.in_picture(Box(322, 210, 644, 420)) == Box(320, 213.5, 640, 427)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_thousandths_of_internvl_are_of_the_whole_picture_whatever_its_tiles(width, height):
    processor = GotOcr2ImageProcessor(
        size={"height": 112, "width": 112}, crop_to_patches=True, max_patches=6
    )
    picture, box = painted(width, height)
    tiles = processor(images=[picture], return_tensors="pt")["pixel_values"]
    shown = tiles[-1]  # the thumbnail, which shows the whole picture
    said = Box(*(1000 * place for place in share_of(white_in(shown), shown)))
    scale = box_scale(plain("internvl", processor), "0-1000", height, width)
    assert scale == BoxScale(Box(0, 0, width, height), (1000.0, 1000.0))
    assert box_iou(scale.in_picture(said), box) > 0.9


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_thousandths_of_qwen_are_of_the_whole_picture(family):
    model = plain(family, Qwen2VLImageProcessor())
    scale = box_scale(model, "0-1000", 200, 300)
    assert scale.in_picture(Box(500, 500, 1000, 1000)) == Box(150, 100, 300, 200)


def test_tiles_of_llava_next_show_the_whole_picture():
    model = plain("llava_next", LlavaNextImageProcessor())
    assert box_scale(model, "0-1", 200, 300).seen == Box(0, 0, 300, 200)
    padding = box_scale(replace(model, pad=True), "0-1", 200, 300)
    assert padding.seen == Box(0, -50, 300, 250)


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match=r"do_center_crop on.*'vipllava'.*switch it off"):
        box_scale(plain("vipllava", CLIPImageProcessor()), "0-1", 200, 300)
    with pytest.raises(ValueError, match="do_pad on"):
        box_scale(plain("janus", SimpleNamespace(to_dict=lambda: {"do_pad": True})), "0-1", 2, 3)
    with pytest.raises(ValueError, match=r"'pixels' needs.*not for 'internvl'"):
        box_scale(plain("internvl", GotOcr2ImageProcessor()), "pixels", 200, 300)
