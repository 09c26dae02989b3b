"""JSON as strangers write it: no key twice in one object, no NaN, no infinity."""

import json
import re
from itertools import chain
from math import isfinite
from typing import Never

import numpy as np
import orjson

from litelvlm.data.safe.columns import count_signs

MAX_VALUES = 60_000_000
"""Of a file: numbers, texts, lists and objects; the largest of the RefCOCO family has a third."""
LARGE = 1_000_000
"""Bytes from which orjson reads first; it takes a third to a quarter of json's time."""
_MAX_LEVELS = 50
_PIECE = 2**20
_DIGITS = 19
"""Of the shortest whole number beyond 64 bits, which orjson turns into a real number."""
_AS_ZERO = bytes(ord("0") if chr(code) in "0123456789" else code for code in range(256))


def read_json(content: bytes) -> object:
    """Parse JSON.

    Raises:
        ValueError: If it is no JSON, has more than ``MAX_VALUES`` values, a key stands twice in one
            object, or a number is not finite.
        RecursionError: If it is nested too deeply.
    """
    check_size(content)
    if len(content) >= LARGE:
        try:
            quick: object = orjson.loads(content)
        except orjson.JSONDecodeError:  # the words of json, or what json alone reads
            return _read_exactly(content)
        if not _has_long_number(content) and _keys_in_values(quick, _keys_in_text(content)):
            return quick
        del quick
    return _read_exactly(content)


def check_size(content: bytes) -> None:
    """Count the values of a text before anything is built of them.

    Raises:
        ValueError: If they are more than ``MAX_VALUES``.
    """
    values = count_signs(content, b",[{")
    if values > MAX_VALUES:
        raise ValueError(f"it has about {values:,} values; at most {MAX_VALUES:,} are read")


def _read_exactly(content: bytes) -> object:
    found: object = json.loads(
        content, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
    )
    return found


def _has_long_number(content: bytes) -> bool:
    """Whether a whole number has so many digits that orjson may not read it as it stands."""
    long_run = any(  # takes an eighth of the time of the exact search
        b"0" * _DIGITS in content[start : start + _PIECE + _DIGITS - 1].translate(_AS_ZERO)
        for start in range(0, len(content), _PIECE)
    )
    return long_run and re.search(rb"(?<![0-9.])[0-9]{%d}" % _DIGITS, content) is not None


def _keys_in_text(content: bytes) -> int:
    """Colons behind a quote or white space: at least as many as the text has keys."""
    found = 0
    for start in range(0, len(content), _PIECE):
        piece = np.frombuffer(content[max(0, start - 1) : start + _PIECE], dtype=np.uint8)
        before = piece[np.flatnonzero(piece[1:] == ord(":"))]
        found += int(np.isin(before, list(b'" \t\r\n')).sum())
    return found


def _keys_in_values(value: object, wanted: int) -> bool:
    """Whether parsed objects have so many keys in all; then no two keys became one.

    Lists of numbers or texts are not looked into, so that a "no" may be wrong.
    """
    level = [value]
    for _ in range(_MAX_LEVELS):
        objects = [one for one in level if isinstance(one, dict)]
        wanted -= sum(map(len, objects))
        if wanted <= 0 or not level:
            break
        lists = [one for one in level if isinstance(one, list) and one]
        level = [
            *chain.from_iterable(one.values() for one in objects),
            *chain.from_iterable(one for one in lists if isinstance(one[0], list | dict)),
        ]
    return wanted == 0


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:60]!r} stands twice in one object")
            seen.add(key)
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:60]} is too large for a number")
    return value


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not a number that JSON allows")
