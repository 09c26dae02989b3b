"""Outlines against pycocotools: what it draws, we draw; what it cannot know, we refuse."""

import warnings

import numpy as np
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from litelvlm.data.safe.rasterise import RefDataError, decode_mask
from tests.fuzz.tables import JSON

SIDES = st.integers(1, 40)
POINTS = st.lists(st.floats(-20, 60, width=32), min_size=6, max_size=40).map(
    lambda points: points[: len(points) // 2 * 2]
)
POLYGONS = st.tuples(st.lists(POINTS, min_size=1, max_size=4), SIDES, SIDES).map(list)


def drawn(planes: list[dict]) -> np.ndarray:
    """The planes as pycocotools decodes them, summed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return sum(coco_mask.decode(plane).astype(int) for plane in planes)


def check_polygons(case: list) -> None:
    """Polygons inside the bounds give the pixels of pycocotools; others are refused."""
    polygons, height, width = case
    far = max(abs(value) for points in polygons for value in points) > 10 * max(height, width)
    try:
        found = decode_mask(polygons, height, width)
    except RefDataError as error:
        assert far or "borders of an outline" in str(error)
        return
    assert not far
    planes = [plane for p in polygons for plane in coco_mask.frPyObjects([p], height, width)]
    np.testing.assert_array_equal(found, drawn(planes))


RUN_LENGTHS = st.tuples(st.lists(st.booleans(), min_size=1, max_size=120), st.integers(1, 12)).map(
    list
)


def check_run_lengths(case: list) -> None:
    """A mask that pycocotools has packed comes back, in all three forms of counts."""
    bits, height = case
    columns = max(1, len(bits) // height)
    flags = (bits * height)[: height * columns]
    mask = np.array(flags, dtype=np.uint8).reshape(height, columns)
    packed = coco_mask.encode(np.asfortranarray(mask))["counts"]
    runs = np.flatnonzero(np.diff(np.r_[0, mask.ravel("F"), 2])) + 1
    lengths = np.diff(np.r_[0, runs - 1]).tolist()
    for counts in (packed, packed.decode(), lengths):
        outline = {"size": [height, columns], "counts": counts}
        np.testing.assert_array_equal(decode_mask(outline, height, columns), mask)


PACKED = st.tuples(
    st.one_of(
        st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=24),
        st.text(max_size=12),
        st.lists(st.integers(-5, 80), max_size=12),
        JSON,
    ),
    st.integers(1, 12),
    st.integers(1, 12),
).map(list)


def check_packed(case: list) -> None:
    """Any counts are refused, or give what pycocotools gives, which fills the image."""
    counts, height, width = case
    outline = {"size": [height, width], "counts": counts}
    try:
        found = decode_mask(outline, height, width)
    except RefDataError as error:
        assert len(str(error)) < 400
        return
    assert found.shape == (height, width)
    assert set(np.unique(found)) <= {0, 1}
    if isinstance(counts, list):
        expected = np.repeat(np.arange(len(counts)) % 2, counts)
    else:
        plane = {"size": [height, width], "counts": counts.encode()}
        expected = drawn([plane]).ravel("F")
    np.testing.assert_array_equal(found.ravel("F"), expected)
