"""Random and mutated input never gets past a reader as anything but data or one typed error."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from refer_tree import make_tree, ref

from litelvlm.data.annotations import RefDataError, read_instances
from litelvlm.data.refs import read_refs
from litelvlm.data.safe.pickles import UnsafePickleError, loads_plain
from litelvlm.data.safe.rasterise import decode_mask

CASES = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
KEYS = st.text(max_size=8) | st.integers() | st.booleans() | st.none()
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
    ),
    max_leaves=20,
)


def refusal(errors, read, *given):
    """What the reader says if it refuses, else nothing; any other error is a failure."""
    try:
        read(*given)
    except errors as error:
        return str(error)
    return ""


@CASES
@given(data=DATA, protocol=st.integers(4, 5))  # sets of earlier protocols are calls
def test_plain_data_comes_back_as_it_was(data, protocol):
    assert loads_plain(pickle.dumps(data, protocol)) == data


@CASES
@given(data=DATA, protocol=st.integers(0, 5), moves=st.data())
def test_a_mutated_pickle_is_data_or_refused(data, protocol, moves):
    raw = bytearray(pickle.dumps(data, protocol))
    for _ in range(moves.draw(st.integers(1, 6))):
        place = moves.draw(st.integers(0, len(raw) - 1))
        raw[place] = moves.draw(st.integers(0, 255))
    assert len(refusal(UnsafePickleError, loads_plain, bytes(raw))) < 400


@CASES
@given(raw=st.binary(max_size=200))
def test_noise_is_data_or_refused(raw):
    assert len(refusal(UnsafePickleError, loads_plain, raw)) < 400


POINTS = st.lists(st.floats(-20, 60, width=32), min_size=6, max_size=40)


@CASES
@given(
    polygons=st.lists(POINTS, min_size=1, max_size=4),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_polygons_give_what_pycocotools_gives(polygons, height, width):
    polygons = [points[: len(points) // 2 * 2] for points in polygons]
    expected = np.zeros((height, width), dtype=int)
    for points in polygons:
        (plane,) = coco_mask.frPyObjects([points], height, width)
        expected += coco_mask.decode(plane)
    far = max(abs(value) for points in polygons for value in points) > 10 * max(height, width)
    if far:
        with pytest.raises(RefDataError, match="far outside"):
            decode_mask(polygons, height, width)
        return
    found = decode_mask(polygons, height, width)
    np.testing.assert_array_equal(found, expected)


@CASES
@given(bits=st.lists(st.booleans(), min_size=1, max_size=120), height=st.integers(1, 12))
def test_run_lengths_give_back_the_mask(bits, height):
    columns = max(1, len(bits) // height)
    flags = (bits * height)[: height * columns]
    mask = np.array(flags, dtype=np.uint8).reshape(height, columns)
    packed = coco_mask.encode(np.asfortranarray(mask))
    outline = {"size": [height, columns], "counts": packed["counts"].decode()}
    np.testing.assert_array_equal(decode_mask(outline, height, columns), mask)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        *(f"images.0.{name}" for name in ("height", "width", "id", "file_name")),
        *(f"annotations.0.{name}" for name in ("id", "image_id", "category_id")),
        *("images", "annotations", "categories"),
    ]
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("fuzz"), [ref()]) / "Refer_Segm" / "refcoco"


@CASES
@given(field=FIELDS, value=JSON)
def test_any_value_in_any_field_of_the_instances_is_read_or_refused(tree, field, value):
    content = json.loads((tree / "instances.json").read_text())
    place = content
    *parts, last = field.split(".")
    for part in parts:
        place = place[int(part) if part.isdecimal() else part]
    place[last] = value
    raw, path = json.dumps(content).encode(), tree / "instances.json"
    assert len(refusal(RefDataError, read_instances, raw, path)) < 600


@CASES
@given(field=st.sampled_from(list(ref())), value=JSON)
def test_any_value_in_any_field_of_a_reference_is_read_or_refused(tree, field, value):
    record = ref() | {field: value}
    for path, raw in (
        (tree / "refs.p", pickle.dumps([record], 2)),
        (tree / "refs.json", json.dumps([record]).encode()),
    ):
        assert len(refusal((RefDataError, UnsafePickleError), read_refs, raw, path)) < 600
