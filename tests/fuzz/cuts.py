"""Files of objects whose outlines may be cut out before the rest is parsed."""

from pathlib import Path
from unittest.mock import patch

from hypothesis import strategies as st

from litelvlm.data import annotations
from litelvlm.data.annotations import InstanceTables, RefDataError, read_instances
from litelvlm.data.safe import json_data, outline_cuts
from tests.fuzz.tables import mutated

PLAIN_NUMBERS = st.from_regex(f"{outline_cuts._WHOLE}|{outline_cuts._REAL}", fullmatch=True)
ODD_NUMBERS = st.sampled_from(
    [
        *("-0", "-0.0", "0.00001", "1e5", "1E3", "1e-7", "1e999", "01", "1.", "1.10", ".5", "+1"),
        *("NaN", "-Infinity", "123456789012345678", "1234567890123456789", "9" * 21, "1" * 400),
        *("100000000000000001", "100000000000000001.0", "1e17", "0.1", "123456.5", "true", "null"),
        *("239.97000000000003", "0.12345678901234567", '"1"', "1 2", "1\x0c", "٣", "[1]", "{}"),
    ]
)
NUMBERS = st.one_of(*[PLAIN_NUMBERS] * 9, ODD_NUMBERS)
COMMAS = st.sampled_from([", "] * 12 + [","] * 6 + [" ,", ",  ", ",\n", "", ",,"])


@st.composite
def lists(draw, inner, most: int) -> str:
    """A list as text, with one kind of comma."""
    return f"[{draw(COMMAS).join(draw(st.lists(inner, max_size=most, min_size=draw(FEW))))}]"


FEW = st.sampled_from([1, 1, 1, 1, 1, 1, 1, 0])
POLYGONS = lists(lists(NUMBERS, 4), 3)
ODD_OUTLINES = st.sampled_from(
    [
        *("[]", "[[]]", "[[], [1]]", "[[[1, 2]]]", "null", '"a"', "[[1, 2]", "[[1, 2] ]", "[ [1]]"),
        *('{"counts": [1, 2], "size": [6, 8]}', '[{"counts": "a]]b", "size": [6, 8]}]', "7"),
        *(r'"\"segmentation\": [[1, 2]]"', '{"segmentation": [[1, 2]]}', "[[1], 2]", "[1, [2]]"),
        *("[[100000000000000001]]", "[[1e17]]", "[[1]] [[2]]", "[[1]]]", '[["a:b"]]', '["[[", 1]'),
    ]
)
OUTLINES = st.one_of(*[POLYGONS] * 4, ODD_OUTLINES)
KEYS = st.sampled_from(
    ['"segmentation": '] * 12
    + ['"segmentation":'] * 6
    + ['"segmentation" : ', r'"segmentatio\u006e": ', r'"x\"segmentation": ', '"segmentation":\n']
)
FIELDS = st.builds(str.__add__, KEYS, OUTLINES)
EXTRAS = st.one_of(
    *[st.just('"iscrowd": 0')] * 8,
    FIELDS,
    st.builds('"note": {{{}}}'.format, FIELDS),
    st.builds('"notes": [{{{}}}, 1]'.format, FIELDS),
    st.sampled_from(
        [
            *(r'"note": "\"segmentation\": [[1, 2]]"', '"note": "[[100000000000000001]]"'),
            *(
                '"note": 100000000000000001',
                '"note": [[100000000000000001]]',
                '"note": "☃ \\ud800"',
            ),
            *(
                '"id": 5',
                r'"\u0069d": 5',
                '"note": "a\\\\", "iscrowd": 1',
                '"note": ["segmentation"]',
            ),
        ]
    ),
)


@st.composite
def files(draw) -> str:
    """An `instances.json` as text, mostly well formed."""
    records = [
        f'{{"id": {number}, {draw(FIELDS)}, "image_id": 7, "category_id": 3, {draw(EXTRAS)}}}'
        for number in range(draw(st.integers(1, 4)))
    ]
    image = f'{{"id": 7, "file_name": "7.png", "height": 6, "width": 8, {draw(EXTRAS)}}}'
    return (
        f'{{"annotations": [{", ".join(records)}], {draw(EXTRAS)}, "images": [{image}], '
        '"categories": [{"id": 3, "name": "thing"}]}'
    )


MOVES = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 2]),
        st.integers(0, 10**4),
        st.integers(0, 255) | st.sampled_from(list(b'[]]],,..0019-e" \\:{}')),
    ),
    max_size=2,
)
PAIRS = st.tuples(
    st.builds(lambda text, moves: mutated(text.encode(), moves).hex(), files(), MOVES),
    st.booleans(),
).map(list)


def outcome(content: bytes) -> object:
    """The tables with all their types, or the error and its words."""
    try:
        found = read_instances(content, Path("instances.json"))
    except RefDataError as error:
        return type(error).__name__, str(error)
    return repr(plain(found))


def plain(found: InstanceTables) -> tuple[object, ...]:
    """Tables as plain values."""
    columns = found.annotations
    return list(found.images.values()), columns.schema, columns.to_pydict(), found.categories


def check_cut(case: list[object]) -> str:
    """With and without cuts a file gives the same tables or the same words."""
    content, by_orjson = bytes.fromhex(str(case[0])), bool(case[1])
    with patch.object(json_data, "LARGE", 0 if by_orjson else 10**9):
        with patch.object(outline_cuts, "LARGE", 10**9):
            whole = outcome(content)
        with patch.object(outline_cuts, "LARGE", 0):
            assert outcome(content) == whole
    return "refused" if isinstance(whole, tuple) else "read"


def is_cut(content: bytes) -> bool:
    """Whether the tables come from a file without its outlines."""
    with patch.object(outline_cuts, "LARGE", 0):
        return annotations._without_outlines(content) is not None
