"""Large JSON is read by another parser; what comes out, or what is refused, stays the same."""

import json
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from litelvlm.data.safe import json_data
from litelvlm.data.safe.json_data import read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-(10**18), 10**18)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["a:b", '":', '" :', "{", "\ud800", "\x7f"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.just('":'), inner, max_size=4)
    ),
    max_leaves=12,
)


def outcome(read, content):
    """The value with all its types, or the error."""
    try:
        return repr(read(content))
    except (ValueError, RecursionError) as error:
        return type(error).__name__, str(error)


def check(content):
    quick, exact = (outcome(read, content) for read in (read_json, json_data._read_exactly))
    assert quick == exact


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch):
    monkeypatch.setattr(json_data, "LARGE", 0)


TEXTS = st.builds(
    lambda value, ascii, indent: json.dumps(value, ensure_ascii=ascii, indent=indent).encode(
        "utf-8", "surrogatepass"
    ),
    VALUES,
    st.booleans(),
    st.sampled_from([None, 0, 2]),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TEXTS)
@example(b"[18446744073709551616, -9223372036854775809, 18446744073709551615]")
def test_both_parsers_agree_about_json(content):
    check(content)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(TEXTS, st.data())
def test_both_parsers_agree_about_changed_json(content, data):
    spot = data.draw(st.integers(0, len(content)))
    sign = data.draw(
        st.sampled_from([bytes([code]) for code in (*range(256), *b'"\\:,{}[]0e- ' * 9)])
    )
    check(content[:spot] + sign + content[spot + data.draw(st.integers(0, 1)) :])


ODD = {
    "key twice": b'{"a": 1, "b": 2, "a": 3}',
    "key twice, spaces before the colon": b'{"a" : 1, "a"\n: 3}',
    "key twice, once by its code": b'{"a": 1, "\\u0061": 3}',
    "key twice in an inner object": b'[[{"x": [{"a": 1, "a": 2}]}]]',
    "key twice behind numbers": b'[1, {"a": 1, "a": 2}]',
    "key twice, and a colon in a text": b'{"a": "\\":", "a": 3}',
    "colons in texts": b'{"a": "x\\":y", "b": "http://x", "c": " :"}',
    "endless": b"[1e999]",
    "no number": b"[NaN]",
    "minus infinity": b"[-Infinity]",
    "long whole number": b"[123456789012345678901234567890]",
    "long real number": b"[0.1234567890123456789012345]",
    "minus zero": b"[-0, -0.0, -0e5]",
    "half a sign": b'["\\ud800"]',
    "byte order mark": b"\xef\xbb\xbf[1]",
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "no utf-8": b'["\xff"]',
    "control character": b'["\x01"]',
    "two values": b"[1] [2]",
    "nothing": b"",
    "null": b"null",
    "300 levels": b"[" * 300 + b"]" * 300,
    "300 objects": b'{"a": ' * 300 + b"1" + b"}" * 300,
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD.keys())
def test_both_parsers_agree_about_odd_json(content):
    check(content)


def test_pieces_meet_without_a_gap(monkeypatch):
    content = b'{"a" : 1, "a": 2, "b": 12345678901234567890123}'
    for size in range(1, 30):
        monkeypatch.setattr(json_data, "_PIECE", size)
        assert json_data._keys_in_text(content) == 3
        assert json_data._has_long_number(content)
        check(content)


def test_a_plain_table_is_read_once(monkeypatch):
    """Else the time is spent twice: records of two levels, texts with colons, long fractions."""
    draw = random.Random(0)
    records = [
        {"id": n, "url": "http://a:b", "segmentation": [[draw.random() for _ in range(6)]]}
        for n in range(50)
    ] + [{"id": 50, "url": '":', "segmentation": {"counts": [1, 2], "size": [1, 3]}}]
    content = json.dumps({"info": {"x": 1}, "annotations": records[:50]}).encode()
    monkeypatch.setattr(json_data, "_read_exactly", lambda _: "read again")
    assert read_json(content) == json.loads(content)
    assert read_json(json.dumps(records).encode()) == "read again"  # a text that looks like a key
