r"""Plain tables in protocol 0, the text form of pickles: proven harmless first, then read in C.

This is the only place of the project that uses Python's own unpickler. It sees a file only when all
of these hold:

- The whole file fits one grammar (``_pattern``): lists, dicts with texts as keys, texts, numbers,
  ``None`` and the store, nested at most five levels deep. The file names nothing, calls nothing and
  makes no tuple, set or object. Numbers and escapes have one spelling each, about which all readers
  agree.
- No container is fetched from the store. So none holds itself and none stands in two places: what
  comes out is a tree, not larger than the file says.
- Numbers of the store are smaller than the file has bytes, for the unpickler makes room for all
  numbers below the largest, 16 bytes each.
- The steps are within the bound of our own machine (``pickles``).

And it refuses every name, should one come through all the same. Any other file is left to our own
machine, which judges it and words the message. Where both read a file, the values are equal.
"""

import io
import pickle
import re
from functools import cache
from typing import Never

import numpy as np

from litelvlm.arrays import NDArray
from litelvlm.data.safe.columns import count_signs

LEVELS = 5
"""Of containers; a table has five: references, their fields, sentences, their fields, words."""
_MOST_DIGITS = 8
"""Of a number of the store."""
_BYTES_PER_FETCH = 4
"""Fewer stand in no table: a fetch and the step behind it take so many."""
_AT_ONCE = 2**14
# ID is a number of the store, STORED the step that stores what stands before it.
_TEXT = b"|".join(
    (
        rb"S'(?:[ -&(-\[\]-~]++|\\(?:[\\'nrt]|x[0-9a-f]{2}))*+'\nSTORED",
        rb'S"(?:[ !#-\[\]-~]++|\\(?:[\\nrt]|x[0-9a-f]{2}))*+"\nSTORED',
        rb"V(?:[^\\\n]++|\\u[0-9a-f]{4}|\\U000[0-9a-f]{5})*+\nSTORED",
        rb"gID",  # only texts are fetched
    )
)
_ATOM = b"|".join(
    (
        _TEXT,
        rb"N",
        rb"I(?:0[01]?+|-?+[1-9][0-9]{0,17}+)\n",
        rb"L(?:0|-?+[1-9][0-9]{0,59}+)L\n",
        rb"F-?+(?:0|[1-9][0-9]{0,23}+)(?:\.[0-9]{1,24}+)?+(?:e[+-][0-9]{2})?+\n",
    )
)
# A value ends with its sign: "a" appends it to a list, "s" sets it in a dict. Keys are texts: many
# whole numbers can have one hash, and a dict of them takes the square of their number.
_ITEMS, _FIELDS = rb"lSTORED(?:VALUEa)*+", rb"dSTORED(?:(?:TEXT)VALUEs)*+"


class _WithoutNames(pickle.Unpickler):
    """Python's unpickler without any name to call."""

    def find_class(self, module: str, name: str, /) -> Never:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


@cache
def _pattern(digits: int) -> re.Pattern[bytes]:
    """The grammar of a whole file; it takes no step back, so each byte is looked at once.

    Args:
        digits: That a number of the store may have.
    """
    value = container = b"(?:ATOM)"
    for _ in range(LEVELS):
        container = rb"\((?:%b|%b)" % (
            _ITEMS.replace(b"VALUE", value),
            _FIELDS.replace(b"VALUE", value),
        )
        value = b"(?:ATOM|%b)" % container
    number = rb"(?:0|[1-9][0-9]{0,%d}+)\n" % (digits - 1)
    whole = container.replace(b"ATOM", _ATOM).replace(b"TEXT", _TEXT)
    whole = whole.replace(b"STORED", b"(?:pID)?+")
    return re.compile(whole.replace(b"ID", number) + rb"\.")


def read_plain(data: bytes, most_steps: int) -> list[object] | dict[object, object] | None:
    r"""Read a list or dict that is proven to be plain; None where our own machine must judge.

    Args:
        data: A pickle.
        most_steps: Opcodes that a file may have.

    Example:
        >>> read_plain(b"(lp0\nI7\na.", 10), read_plain(b"cposix\nsystem\n.", 10)
        ([7], None)
    """
    # Each step ends with a line, or is one of these signs; those inside texts count too.
    steps = count_signs(data, b"\n(ldasN.")
    # So each number of the store is smaller than the length.
    digits = min(_MOST_DIGITS, max(1, len(str(len(data))) - 1))
    if steps > most_steps or _pattern(digits).fullmatch(data) is None:
        return None
    if _fetches_container(data):
        return None
    try:
        found: list[object] | dict[object, object]
        found = _WithoutNames(io.BufferedReader(io.BytesIO(data)), encoding="latin1").load()
    except (pickle.UnpicklingError, ValueError):  # a number that nothing is stored under
        return None
    return found


def _fetches_container(data: bytes) -> bool:
    """Whether a container may be fetched from the store, in a file of the grammar.

    Texts that look like steps count too, so that a "yes" may be wrong. Four times as fast as
    regular expressions that find the same.
    """
    if count_signs(data, b"g") > len(data) // _BYTES_PER_FETCH:  # places would take much memory
        return True
    text = np.frombuffer(data + b"\0" * _MOST_DIGITS, dtype=np.uint8)
    opened = np.flatnonzero(text == ord("("))
    stored = _numbers(text, opened[text[opened + 2] == ord("p")] + 3)
    fetched = _numbers(text, np.flatnonzero(text == ord("g")) + 1)
    return bool(np.isin(fetched, stored).any())


def _numbers(text: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers that begin at some places; places without a digit are left out."""
    places = places[text[places] - ord("0") < 10]  # signs before "0" wrap around to large ones
    found = np.zeros(len(places), dtype=np.int64)
    for start in range(0, len(places), _AT_ONCE):  # so many stay in the processor's cache
        some = places[start : start + _AT_ONCE]
        numbers, inside = np.zeros(len(some), dtype=np.int64), np.ones(len(some), dtype=np.bool_)
        for step in range(_MOST_DIGITS):
            digits = text[some + step] - ord("0")
            inside &= digits < 10
            if not inside.any():
                break
            numbers = np.where(inside, 10 * numbers + digits, numbers)
        found[start : start + _AT_ONCE] = numbers
    return found
