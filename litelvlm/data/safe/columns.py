"""Columns of tables from plain values.

``pyarrow.array`` imports pandas wherever that is installed, which takes longer than finding a split
in kept tables does. These functions import nothing.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from litelvlm.arrays import NDArray


def whole_numbers(values: Sequence[int] | NDArray[np.int64]) -> pa.Array:
    """Numbers of 64 bits.

    Raises:
        OverflowError: If a number has more bits.
    """
    return _array(pa.int64(), len(values), np.array(values, dtype=np.int64))


def truths(values: Sequence[bool]) -> pa.Array:
    """True and false, a bit each."""
    return _array(pa.bool_(), len(values), np.packbits(np.array(values, bool), bitorder="little"))


def texts(values: Sequence[bytes]) -> pa.Array:
    """Texts in UTF-8, which is not checked."""
    return joined_texts(b"".join(values), np.cumsum([*map(len, values)], dtype=np.int64))


def joined_texts(content: bytes, ends: NDArray[np.int64]) -> pa.Array:
    """Texts in UTF-8 that stand one behind another.

    Args:
        content: All texts.
        ends: Where each ends, in bytes.
    """
    places = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    return _array(pa.large_string(), len(ends), places, content)


def _array(kind: pa.DataType, length: int, *buffers: NDArray[np.generic] | bytes) -> pa.Array:
    return pa.Array.from_buffers(kind, length, [None, *map(pa.py_buffer, buffers)])
