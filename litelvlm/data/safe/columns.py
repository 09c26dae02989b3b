"""Columns of tables from plain values, and signs of a text counted.

``pyarrow.array`` imports pandas wherever that is installed, which takes longer than finding a split
in kept tables does. What is here imports nothing.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from litelvlm.arrays import NDArray

_PIECE = 2**18
"""Bytes that stay in the processor's cache."""


def whole_numbers(values: Sequence[int] | NDArray[np.int64]) -> pa.Array:
    """Numbers of 64 bits.

    Raises:
        OverflowError: If a number has more bits.
    """
    return _array(pa.int64(), len(values), pa.py_buffer(np.array(values, dtype=np.int64)))


def truths(values: Sequence[bool]) -> pa.Array:
    """True and false, a bit each."""
    bits = np.packbits(np.array(values, dtype=np.bool_), bitorder="little")
    return _array(pa.bool_(), len(values), pa.py_buffer(bits))


def texts(values: Sequence[bytes]) -> pa.Array:
    """Texts in UTF-8, which is not checked."""
    places = np.cumsum([0, *map(len, values)], dtype=np.int64)
    buffers = pa.py_buffer(places), pa.py_buffer(b"".join(values))
    return _array(pa.large_string(), len(values), *buffers)


def count_signs(content: bytes, signs: bytes) -> int:
    """How many bytes are one of these signs; faster than ``bytes.count`` where they are many."""
    found = 0
    for start in range(0, len(content), _PIECE):
        piece = np.frombuffer(content[start : start + _PIECE], dtype=np.uint8)
        found += sum(int(np.count_nonzero(piece == sign)) for sign in signs)
    return found


def _array(kind: pa.DataType, length: int, *buffers: pa.Buffer) -> pa.Array:
    return pa.Array.from_buffers(kind, length, [None, *buffers])
