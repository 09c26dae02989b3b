"""JSON as strangers write it: no key twice in one object, no NaN, no infinity."""

import json
from math import isfinite
from typing import Never

MAX_VALUES = 60_000_000
"""Of a file: numbers, texts, lists and objects; the largest of the RefCOCO family has a third."""


def read_json(content: bytes) -> object:
    """Parse JSON.

    Raises:
        ValueError: If it is no JSON, has more than ``MAX_VALUES`` values, a key stands twice in one
            object, or a number is not finite.
        RecursionError: If it is nested too deeply.
    """
    values = sum(map(content.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        raise ValueError(f"it has about {values:,} values; at most {MAX_VALUES:,} are read")
    found: object = json.loads(
        content, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
    )
    return found


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
