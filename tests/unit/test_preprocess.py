"""RGB pictures to the inputs of CLIP and SAM."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from litelvlm.clip.preprocessing import Preprocessing
from litelvlm.data.images import open_image
from litelvlm.models.glamm.preprocess import sam_pixel_values
from litelvlm.models.sam2.preprocess import sam_size

PARITY = Path(__file__).parents[1] / "fixtures" / "parity"


def test_full_size_inputs_equal_the_recorded_ones():
    recorded = json.loads((PARITY / "preprocess" / "index.json").read_text())[0]
    expected = load_file(PARITY / "preprocess" / "expected.safetensors")
    image = open_image(PARITY / "preprocess" / "landscape.png")
    clip, (sam, resized) = Preprocessing()(image, 336), sam_pixel_values(image, 1024)
    assert list(resized) == recorded["resized"]
    # Same arithmetic in the same order: not a bit of difference is expected, 1e-6 leaves room for
    # another libm.
    torch.testing.assert_close(
        clip[0, :, ::7, ::7], expected["landscape.clip_strided"], atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        sam[0, :, ::16, ::16], expected["landscape.sam_strided"], atol=1e-6, rtol=0
    )
    assert clip.double().sum().item() == pytest.approx(recorded["clip_sum"], abs=1e-2)
    assert sam.double().sum().item() == pytest.approx(recorded["sam_sum"], abs=1e-2)


def test_tiny_inputs_equal_the_recorded_ones():
    expected = load_file(PARITY / "glamm" / "inputs.safetensors")
    for i, item in enumerate(
        json.loads((PARITY / "glamm" / "index.json").read_text())["runs"][0]["items"]
    ):
        image = open_image(
            PARITY / "refer" / "Refer_Segm" / "coco_2014" / "train2014" / item["image_file"]
        )
        square, resized = sam_pixel_values(image, 128)
        torch.testing.assert_close(
            Preprocessing()(image, 84), expected[f"{i}.clip_pixel_values"], atol=1e-6, rtol=0
        )
        torch.testing.assert_close(square, expected[f"{i}.sam_pixel_values"], atol=1e-6, rtol=0)
        assert list(resized) == item["resized_size"]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    # 427 * 1024 / 640 = 683.2 -> 683; 213 * 1024 / 320 = 681.6 -> 682.
    [
        (427, 640, (683, 1024)),
        (640, 427, (1024, 683)),
        (213, 320, (682, 1024)),
        (7, 7, (1024, 1024)),
    ],
)
def test_sam_sizes(height, width, expected):
    assert sam_size(height, width, 1024) == expected


def test_clip_sees_only_the_centre_square():
    # 4 x 8 pixels at size 4 need no resizing: columns 2 to 5 are cropped.
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, 2:6] = 255
    white = (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
        [0.26862954, 0.26130258, 0.27577711]
    )
    crop = Preprocessing()(Image.fromarray(pixels), 4)
    torch.testing.assert_close(crop, white[None, :, None, None].expand(1, 3, 4, 4))


def test_sam_pads_with_zeros_after_normalising():
    square, resized = sam_pixel_values(Image.new("RGB", (8, 4), "black"), 8)
    assert resized == (4, 8)
    # Black is (0 - mean) / std, not 0; the padding below is 0.
    torch.testing.assert_close(
        square[0, :, 0, 0], torch.tensor([-123.675 / 58.395, -116.28 / 57.12, -103.53 / 57.375])
    )
    assert (square[0, :, 4:] == 0).all()
    assert (square[0, :, :4] < -1).all()


def test_a_picture_too_narrow_for_sam_is_refused():
    with pytest.raises(ValueError, match="too narrow"):
        sam_pixel_values(Image.new("RGB", (5000, 1)), 1024)
