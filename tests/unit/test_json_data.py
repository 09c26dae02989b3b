"""JSON that two parsers could read differently is refused; all else is what json makes of it."""

import json

import pytest

from litelvlm.data.safe import json_data
from litelvlm.data.safe.json_data import read_json

REFUSED = {
    "key twice": b'{"a": 1, "b": 2, "a": 3}',
    "key twice, once by its code": b'{"a": 1, "\\u0061": 3}',
    "key twice in an inner object": b'[[{"x": [{"a": 1, "a": 2}]}]]',
    "endless": b"[1e999]",
    "no number": b"[NaN]",
    "minus infinity": b"[-Infinity]",
    "no utf-8": b'["\xff"]',
    "control character": b'["\x01"]',
    "two values": b"[1] [2]",
    "nothing": b"",
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
}
READ = (
    b'{"a": "\\":", "b": {"a": 3}}',
    b"[18446744073709551616, 123456789012345678901234567890, -0, -0.0, 0.12345678901234567]",
    b'[null, true, "\\ud800", {"a": {}}]',
)


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_ambiguous_or_endless_is_refused(content):
    with pytest.raises((ValueError, RecursionError)):
        read_json(content)


@pytest.mark.parametrize("content", READ)
def test_plain_json_is_read_as_it_stands(content):
    assert repr(read_json(content)) == repr(json.loads(content))


def test_values_are_counted_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(json_data, "MAX_VALUES", 5)
    with pytest.raises(ValueError, match="it has about 8 values; at most 5"):
        read_json(b'[[], {"a": [1, 2]}, 3, ')
