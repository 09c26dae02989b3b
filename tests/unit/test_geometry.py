"""Mask pixels to tokens and back through CLIP's resize and centre crop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.image_transforms import get_resize_output_image_size

from litelvlm.clip.geometry import coverage, coverage_to_pixels, crop_box, visible_fraction
from litelvlm.clip.preprocessing import Preprocessing

SIDES = st.integers(20, 700)


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, st.sampled_from([84, 168, 224, 336]))
def test_crop_follows_the_processors_integers(height, width, size):
    crop = crop_box(height, width, size)
    image = np.broadcast_to(np.uint8(0), (height, width, 3))
    resized = get_resize_output_image_size(
        image, size=size, default_to_square=False, input_data_format="channels_last"
    )
    assert (crop.resized_height, crop.resized_width) == resized
    assert crop.top == (resized[0] - size) // 2
    assert crop.left == (resized[1] - size) // 2


def test_coverage_by_hand():
    # 4 x 8 image, size 2, grid 2 x 2: scale 1/2, resized 2 x 4, left = 1; tokens see columns 2-3
    # and 4-5.
    mask = np.zeros((4, 8), dtype=np.uint8)
    mask[0, 2] = mask[0, 3] = 2  # value 2 is object, too: half of token (0, 0)
    mask[2:, 4:] = 1  # all of token (1, 1), and columns 6-7 that no token sees
    np.testing.assert_array_equal(coverage(mask, (2, 2), 2), [[0.5, 0.0], [0.0, 1.0]])
    # 2 + 8 pixels, of which 2 + 4 are inside.
    assert visible_fraction(mask, 2) == pytest.approx(0.6, abs=1e-12)


def test_fractional_borders_are_shared_by_area():
    # 3 x 3 image, size 2: each token is 1.5 pixels wide; the middle pixel gives a quarter of its
    # area to each token.
    mask = np.zeros((3, 3), dtype=bool)
    mask[1, 1] = True
    np.testing.assert_allclose(coverage(mask, (2, 2), 2), np.full((2, 2), 0.25 / 2.25), atol=1e-7)
    assert visible_fraction(mask, 2) == 1.0


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(0, 2**31))
def test_token_area_equals_visible_area(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    mask[0, 0] = True
    crop = crop_box(height, width, 168)
    down, across = crop.scale
    pixels = coverage(mask, (12, 12), 168).astype(np.float64).sum() * 14 * 14 / (down * across)
    assert pixels == pytest.approx(visible_fraction(mask, 168) * mask.sum(), rel=1e-5)


def test_a_patch_size_that_leaves_a_remainder():
    # Size 5, grid 2: patches of 2 pixels, the last row and column seen by no token.
    mask = np.zeros((5, 5), dtype=bool)
    mask[4, :] = True
    assert coverage(mask, (2, 2), 5).sum() == 0
    mask[0:2, 0:2] = True
    np.testing.assert_allclose(coverage(mask, (2, 2), 5), [[1, 0], [0, 0]])


def test_values_go_back_to_the_pixels_they_came_from():
    values = np.arange(4, dtype=np.float32).reshape(2, 2)
    pixels = coverage_to_pixels(values, 4, 8, 2)
    nan = np.nan
    row = [[nan, nan, 0, 0, 1, 1, nan, nan]] * 2 + [[nan, nan, 2, 2, 3, 3, nan, nan]] * 2
    np.testing.assert_array_equal(pixels, np.array(row, dtype=np.float32))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="height 0"):
        crop_box(0, 5)
    with pytest.raises(ValueError, match=r"grid \(24, 0\)"):
        coverage(np.ones((5, 5), dtype=bool), (24, 0))
    with pytest.raises(ValueError, match="mask is empty"):
        visible_fraction(np.zeros((5, 5), dtype=bool))


def test_squashed_and_padded_squares_show_the_whole_image():
    mask = np.zeros((4, 8), dtype=np.uint8)
    mask[:, 6:] = 1
    squashed = Preprocessing(resize="squash").crop(4, 8, 8)
    # Each of 2 x 4 tokens covers 2 x 2 image pixels: the last column is the object.
    assert coverage(mask, (2, 4), 8, squashed).tolist() == [[0, 0, 0, 1]] * 2
    padded = Preprocessing(resize="pad").crop(4, 8, 8)
    assert (padded.top, padded.left, padded.resized_height, padded.resized_width) == (-2, 0, 4, 8)
    # Rows of 2 pixels: border, image, image, border.
    assert coverage(mask, (4, 4), 8, padded).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
    ]
    assert visible_fraction(mask, 8, squashed) == visible_fraction(mask, 8, padded) == 1.0
    # CLIP's own crop keeps columns 2 to 5 and sees nothing of it.
    assert visible_fraction(mask, 8) == 0.0


def test_the_border_has_clips_mean_colour():
    pixels = Preprocessing(resize="pad")(Image.new("RGB", (8, 4), "white"), 8)
    assert pixels[0, :, :2].abs().max() < 0.01
    assert pixels[0, :, 2:6].min() > 1.5
