"""Outlines that are cut out of a large file are what reading the whole file would give."""

import hashlib
import json
import random
import re

import numpy as np
import orjson
import pytest
from hypothesis import given, settings

from litelvlm.data.safe import json_data, outline_cuts
from litelvlm.data.safe.outline_cuts import HOLE, cut_outlines
from tests.fuzz import cuts
from tests.fuzz.cuts import check_cut, is_cut

RECORD = '{"id": %d, "segmentation": %s, "image_id": 7, "category_id": 3}'
IMAGE = '{"id": 7, "file_name": "7.png", "height": 6, "width": 8}'


def file_of(records, image=IMAGE, more=""):
    """The bytes of a file with these records, each as text."""
    return (
        f'{{"images": [{image}], "annotations": [{", ".join(records)}]{more}, '
        '"categories": [{"id": 3, "name": "thing"}]}'
    ).encode()


def agree(content):
    """Both ways of reading agree; whether the file was read."""
    return {check_cut([content.hex(), by_orjson]) for by_orjson in (True, False)} == {"read"}


@settings(max_examples=250, deadline=None, derandomize=True)
@given(cuts.PAIRS)
def test_cuts_change_neither_tables_nor_words(case):
    check_cut(case)


def test_the_drawn_files_are_cut_read_and_refused():
    """Else the test above would compare little."""
    seen = []

    @settings(max_examples=120, deadline=None, derandomize=True, database=None)
    @given(cuts.PAIRS)
    def draw(case):
        seen.append((is_cut(bytes.fromhex(case[0])), check_cut(case)))

    draw()
    counts = {kind: seen.count(kind) for kind in set(seen)}
    assert counts.keys() == {(True, "read"), (False, "read"), (False, "refused")}
    assert min(counts.values()) > 5


@settings(max_examples=300, deadline=None, derandomize=True)
@given(cuts.PLAIN_NUMBERS)
def test_orjson_gives_a_number_of_the_grammar_back_as_it_is_spelt(number):
    assert orjson.dumps(orjson.loads(number)) == number.encode()


def test_numbers_at_the_borders_of_the_grammar():
    grammar = re.compile(f"{outline_cuts._WHOLE}|{outline_cuts._REAL}")
    draw = random.Random(0)
    digits = ["".join(draw.choices("0019", k=draw.randint(0, 19))) for _ in range(30_000)]
    taken = 0
    for whole, part in zip(digits[::2], digits[1::2], strict=True):
        text = draw.choice(["", "-"]) + whole + draw.choice([".", ""]) + part[: draw.randint(0, 12)]
        if grammar.fullmatch(text):
            taken += 1
            assert orjson.dumps(orjson.loads(text)) == text.encode()
    assert taken > 2000
    for text in (
        "9" * 18,
        "-" + "9" * 18,
        "99999.9999999999",
        "0.0001",
        "-0.0",
        "0.00019999999999",
    ):
        assert grammar.fullmatch(text), text
        assert orjson.dumps(orjson.loads(text)) == text.encode()


@pytest.mark.parametrize(
    "number",
    [
        *("-0", "01", "1.", ".5", "+1", "1.10", "1.00", "1e5", "1E5", "0.00001", "NaN", "Infinity"),
        *("1e999", "9" * 19, "123456.5", "0.12345678901234567", "239.97000000000003", "true"),
        *("null", '"1"', "", "1 2", "1\n", "٣", "1_0", "0x1", "1\x00"),
    ],
)
def test_other_spellings_stay_in_the_file(number):
    content = file_of([RECORD % (1, f"[[{number}, 2]]"), RECORD % (2, "[[5, 6]]")])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outline_cuts, "LARGE", 0)
        cut = cut_outlines(content)
    assert cut.outlines.to_pylist() == ["[[5,6]]"]
    assert number.encode() in cut.rest
    agree(content)


def test_a_plain_file_leaves_holes_only():
    records = [RECORD % (n, json.dumps([[n, 0.5, -3.25], [7, 1.0]])) for n in range(9)]
    content = file_of(records)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outline_cuts, "LARGE", 0)
        cut = cut_outlines(content)
    assert [one["segmentation"] for one in json.loads(cut.rest)["annotations"]] == [HOLE] * 9
    assert cut.outlines.to_pylist() == [f"[[{n},0.5,-3.25],[7,1.0]]" for n in range(9)]
    assert is_cut(content)
    assert agree(content)


def test_small_files_are_not_cut():
    content = file_of([RECORD % (1, "[[1, 2]]")])
    assert len(content) < json_data.LARGE
    assert cut_outlines(content) is None


def test_no_float_and_no_truth_equals_a_hole():
    number = HOLE[0][0]
    assert [[float(number)]] != HOLE
    assert [[np.nextafter(float(number), np.inf)]] != HOLE
    assert [orjson.loads(b"[1e17]")] != HOLE


def test_a_large_table_has_the_same_hash_either_way():
    """Outlines of several polygons, run lengths, empty ones and odd numbers among plain ones."""
    draw = random.Random(0)
    odd = [{"counts": [1, 47], "size": [6, 8]}, [], [[]], [[0.1 + 0.2, 1e-7, 2**70]], [[-0.0, 3]]]
    records = [
        {"id": n, "image_id": 7, "category_id": 3, "iscrowd": n % 2}
        | {
            "segmentation": draw.choice(odd)
            if n % 10 == 0
            else [
                [
                    round(draw.uniform(0, 640), draw.randint(0, 9))
                    for _ in range(draw.randint(1, 60))
                ]
                for _ in range(draw.choice([1, 1, 2]))
            ]
        }
        for n in range(5000)
    ]
    for separators in ((", ", ": "), (",", ":")):
        content = file_of([json.dumps(one, separators=separators) for one in records])
        assert is_cut(content)
        hashes = []
        for least in (0, 10**12):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(outline_cuts, "LARGE", least)
                hashes.append(hashlib.sha256(cuts.outcome(content).encode()).hexdigest())
        assert hashes[0] == hashes[1]


PLAIN = RECORD % (1, "[[1, 2]]")


def with_field(field, record=PLAIN):
    """A record that begins with one more field."""
    return "{" + field + ", " + record[1:]


ELSEWHERE = {
    "deeper": with_field('"x": {"segmentation": [[1, 2]]}'),
    "beside": with_field('"x": [{"segmentation": [[1, 2]]}]'),
    "deeper, and a hole in its place": with_field(
        '"x": {"segmentation": [[1, 2]]}', PLAIN.replace("[1, 2]", "[100000000000000001]")
    ),
    "deeper, and a hole in its place by its code": with_field(
        '"x": {"segmentation": [[1, 2]]}',
        PLAIN.replace('"seg', '"\\u0073eg').replace("[1, 2]", "[100000000000000001]"),
    ),
    "key twice": with_field('"segmentation": [[3, 4]]'),
    "key twice, once by its code": with_field('"\\u0073egmentation": [[3, 4]]'),
    "key twice, once with white space": with_field('"segmentation" : [[3, 4]]'),
    "another key twice": with_field('"id": 2'),
    "end of another key": with_field('"x\\"segmentation": [[3, 4]]'),
    "behind a closed text": with_field('"x": "a"segmentation": [[3, 4]]'),
    "number of the hole": with_field('"x": 100000000000000001'),
    "number of the hole in a text": with_field('"x": "100000000000000001"'),
    "without its end": PLAIN[:-60],
    "bracket behind": PLAIN.replace("]]", "]]]"),
    "two values": PLAIN.replace("]]", "]] [[3, 4]]"),
    "no file name": PLAIN + ']}, {"x": [',
    "id twice": f"{PLAIN}, {PLAIN}",
    "long number": with_field('"x": 12345678901234567890, "x": 2'),
    "too deep": with_field(f'"x": {"[" * 2000}1{"]" * 2000}'),
    "text of a key": with_field('"segmentation", [[3, 4]]'),
}


@pytest.mark.parametrize("record", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_file_with_cuts_in_other_places_is_read_whole(record):
    content = file_of([record])
    assert not is_cut(content)
    agree(content)


def test_cuts_outside_of_the_records_are_noticed():
    image = with_field('"segmentation": [[1, 2]]', IMAGE)
    more = ', "extra": {"segmentation": [[1, 2]]}'
    for content in (file_of([PLAIN], image), file_of([PLAIN], more=more)):
        assert not is_cut(content)
        assert agree(content)


KEPT = {
    "by its code": PLAIN.replace('"seg', '"\\u0073eg'),
    "white space": PLAIN.replace('": [[', '" : [ ['),
    "two spaces": PLAIN.replace('": [[', '":  [['),
    "line ends": PLAIN.replace(", ", ",\n"),
    "run lengths": RECORD % (1, '{"counts": [48], "size": [6, 8]}'),
    "run lengths with brackets": RECORD % (1, '[{"counts": "]]", "size": [6, 8]}]'),
    "empty": RECORD % (1, "[]"),
    "empty polygon": RECORD % (1, "[[]]"),
    "text": RECORD % (1, '"\\"segmentation\\": [[1, 2]]"'),
    "text beside": with_field('"note": "\\"segmentation\\": [[1, 2]]"'),
    "no outlines": RECORD % (1, "null"),
}


@pytest.mark.parametrize("record", KEPT.values(), ids=KEPT.keys())
def test_unusual_outlines_among_plain_ones_stay_where_they_are(record):
    second = RECORD % (2, "[[5, 6.5]]")
    content = file_of([record, second])
    assert is_cut(content)
    assert agree(content)


def test_too_many_values_are_refused_in_the_same_words(monkeypatch):
    monkeypatch.setattr(json_data, "MAX_VALUES", 40)
    content = file_of([RECORD % (n, f"[[{n}, 2]]") for n in range(9)])
    assert not agree(content)
    monkeypatch.setattr(outline_cuts, "LARGE", 0)
    assert "about 83 values; at most 40" in cuts.outcome(content)[1]


def test_keys_without_end_make_few_pieces(monkeypatch):
    """Cutting at each would take much more memory than the file."""
    monkeypatch.setattr(outline_cuts, "LARGE", 0)
    assert cut_outlines(b'"segmentation":' * 10_000) is None
    rest = file_of(['{"segmentation":[[1]]}'] * 10_000)
    assert 0 < len(cut_outlines(rest).outlines) <= len(rest) // outline_cuts._BYTES_PER_RECORD
