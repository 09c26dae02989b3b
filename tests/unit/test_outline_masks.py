"""Outlines to masks by the official rule."""

import re
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from refer_tree import SQUARE, RefDataError

from litelvlm.data.safe.rasterise import decode_mask


def test_outline_forms_give_the_same_mask():
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[1:4, 1:4] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))
    # Column by column: 6 + 1 zeros, 3 ones, 3 zeros, 3 ones, 3 zeros, 3 ones, then the rest of 48.
    plain = [7, 3, 3, 3, 3, 3, 26]
    size = [6, 8]
    for outline in (
        SQUARE,
        [{"size": size, "counts": packed["counts"]}],
        [{"size": size, "counts": packed["counts"].decode()}],
        [{"size": size, "counts": plain}],
        {"size": size, "counts": plain},
        {"size": size, "counts": packed["counts"].decode()},
    ):
        assert np.array_equal(decode_mask(outline, 6, 8), mask)
    assert decode_mask([], 6, 8).sum() == 0


def test_overlapping_polygons_are_summed():
    mask = decode_mask([[0, 0, 4, 0, 4, 4, 0, 4], [2, 0, 6, 0, 6, 4, 2, 4]], 6, 8)
    assert mask[0].tolist() == [1, 1, 2, 2, 1, 1, 0, 0]


def test_a_line_covers_what_it_covers_in_whatever_place():
    line, square = [1, 1, 3, 3], SQUARE[0]
    both = decode_mask([square, line], 6, 8)
    assert np.array_equal(decode_mask([line, square], 6, 8), both)
    # A line has no area, and two numbers more do not make it a box of 3 x 3.
    assert decode_mask([line], 6, 8).sum() == 0
    assert np.array_equal(both, decode_mask(SQUARE, 6, 8))


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ("abc", "is a str"),
        ([[1, 2]], "at least two points"),
        ([[1, 2, 3, 4, 5]], "at least two points"),
        ([[1, 2, 3, 4, 5, float("nan")]], "not a number, or lies far outside"),
        ([[1, 2, 3, 4, 5, 1e9]], "not a number, or lies far outside"),
        ([["a", "b", "c", "d"]], "not a number, or lies far outside"),
        ([[True, False, True, True, False, True]], "not a number, or lies far outside"),
        ([[1, 1, 3, 3, 1, True]], "not a number, or lies far outside"),
        ([{"size": [6, 8], "counts": [47, True]}], "add up to 48"),
        ({}, "lacks its counts"),
        ({"size": [6, 8], "counts": "\ud800"}, "not ASCII"),
        ({"size": [6, 8], "counts": "\u00e9"}, "not ASCII"),
        ({"size": np.array([6, 8]), "counts": [48]}, "has size array"),
        ([{"size": [9, 9], "counts": "0"}], r"size \[9, 9\], the image \[6, 8\]"),
        ([{"size": [6, 8], "counts": [3, 3]}], "add up to 48"),
        ([{"size": [6, 8], "counts": [50, -2]}], "add up to 48"),
        ([{"size": [6, 8]}], "lacks its counts"),
        ([{"size": [6, 8], "counts": "zzzzzzzz"}], "add up to 48"),
        # pycocotools alone returns uninitialised memory here.
        ([{"size": [6, 8], "counts": "0"}], "add up to 48"),
        ([{"size": [6, 8], "counts": "ooo"}], "cut off"),
    ],
)
def test_bad_outlines_are_refused(outline, message):
    with pytest.raises(RefDataError, match=message):
        decode_mask(outline, 6, 8)


ZIGZAG = [0.0, 0.0, 6000.0, 4000.0] * 25_000
HEAVY = {
    "long edges": ([ZIGZAG], "the borders of an outline are"),
    "many polygons": ([[0, 0, 1, 0, 1, 1]] * 300_000, "has 300000 parts; at most 10000 are read"),
    "many planes": (
        [{"size": [480, 640], "counts": [480 * 640]}] * 20_000,
        "has 20000 parts; at most 10000 are read",
    ),
    "endless run lengths": (
        [{"size": [480, 640], "counts": "0" * (13 * 480 * 640)}],
        "run lengths are longer than an image",
    ),
    "number that is none": ([[0, 0, float("nan"), 1, 1, 1]], "a point that is not a number"),
    "truth as a run": ([{"size": [1, 1], "counts": [True]}], "has size [1, 1]"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("outline", "message"), HEAVY.values(), ids=HEAVY.keys())
def test_outlines_that_would_hang_are_refused(outline, message):
    with pytest.raises(RefDataError, match=re.escape(message)) as found:
        decode_mask(outline, 480, 640)
    assert len(str(found.value)) < 300


def test_many_planes_are_decoded_in_little_memory():
    plane = {"size": [480, 640], "counts": [0, 480 * 640]}
    tracemalloc.start()
    try:
        mask = decode_mask([plane] * 1_000, 480, 640)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (mask == 254).all()  # the count ends below 255, which means an ignored pixel
    assert peak < 5 * 2**26  # 1,000 planes at once would be 307 MB
