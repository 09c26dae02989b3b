"""JSON as strangers write it: no key twice in one object, no NaN, no infinity."""

import json
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
    values = sum(map(content.count, (b",", b"[", b"{")))  # counted before anything is built
    if values > MAX_VALUES:
        raise ValueError(f"it has about {values:,} values; at most {MAX_VALUES:,} are read")
    found: object = json.loads(content, object_pairs_hook=_unique, parse_constant=_refuse)
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return found


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is no number of JSON")
