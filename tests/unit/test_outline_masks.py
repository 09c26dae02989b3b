"""Outlines to masks by the official rule."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from refer_tree import FIXTURE, SQUARE
from safetensors.numpy import load_file

from litelvlm.data.annotations import RefDataError, decode_mask
from litelvlm.data.load import load_refer


@pytest.mark.parametrize("group", ["refcoco|val", "refcoco|testA", "refcocog|val"])
def test_recorded_official_masks(group):
    recorded = load_file(FIXTURE / "decoded_masks.safetensors")
    dataset, split = group.split("|")
    data = load_refer(FIXTURE, dataset=dataset, split=split)
    entries = json.loads((FIXTURE / "decoded_masks.json").read_text())[group]
    assert len(data) == len(entries)
    for sample, entry in zip(data, entries, strict=True):
        assert sample.file_name == entry["image_file"]
        assert [expression.sent for expression in sample.expressions] == entry["expressions"]
        assert np.array_equal(sample.masks(), recorded[entry["key"]])
        assert sample.masks().dtype == np.uint8
        assert sample.image().size == (sample.width, sample.height)


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


def test_compressed_run_lengths_of_many_shapes():
    rng = np.random.default_rng(0)
    for density in (0.02, 0.5, 0.98):
        for side in (1, 7, 60, 300):
            mask = (rng.random((side, side)) < density).astype(np.uint8)
            packed = coco_mask.encode(np.asfortranarray(mask))
            outline = [{"size": [side, side], "counts": packed["counts"].decode()}]
            assert np.array_equal(decode_mask(outline, side, side), mask)


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
        ([[1, 2, 3, 4, 5, float("nan")]], "no number or far outside"),
        ([[1, 2, 3, 4, 5, 1e9]], "no number or far outside"),
        ([["a", "b", "c", "d"]], "no number or far outside"),
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
