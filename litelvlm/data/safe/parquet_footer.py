"""Where the columns of a Parquet file lie, read from its footer by a reader of our own.

Arrow's own access to this ends the whole process on some damaged footers.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from litelvlm.data.safe.thrift import CompactReader, Fields

MAX_FOOTER_BYTES = 2**24
_TAIL = 8  # length of the footer and "PAR1"
_GROUPS, _COLUMNS, _ABOUT = 4, 1, 3
_PATH, _VALUES, _PACKED, _DATA, _DICTIONARY = 3, 5, 7, 9, 11


class Chunk(NamedTuple):
    """Where one column of one row group lies in a file.

    Attributes:
        name: Path of the column.
        start: First byte.
        size: Bytes, packed and with the headers.
        values: How many values the footer says there are.
    """

    name: str
    start: int
    size: int
    values: int

    @property
    def column(self) -> str:
        """The column that it is a part of."""
        return self.name.partition(".")[0]


def read_footer(path: Path) -> list[list[Chunk]]:
    """The columns of each row group.

    Raises:
        ValueError: If the file does not end as a Parquet file does, or its footer is damaged or too
            large.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - _TAIL), os.SEEK_SET)
        tail = stream.read()
        if len(tail) < _TAIL or tail[4:] != b"PAR1":
            raise ValueError("it does not end as a Parquet file does")
        (length,) = struct.unpack("<I", tail[:4])
        if length > min(MAX_FOOTER_BYTES, size - _TAIL):
            raise ValueError(
                f"its footer of {length:,} bytes is larger than the file or "
                f"{MAX_FOOTER_BYTES:,} bytes"
            )
        stream.seek(size - _TAIL - length)
        footer = CompactReader(stream.read(length)).struct()
    return [
        [_chunk(column) for column in _structs(group, _COLUMNS)]
        for group in _structs(footer, _GROUPS)
    ]


def _structs(fields: Fields, field: int) -> Iterator[Fields]:
    """The structs of a list."""
    found = fields.get(field, [])
    for entry in found if isinstance(found, Sequence) else [found]:
        if not isinstance(entry, dict):
            raise ValueError(f"field {field} of its footer is not a list of structs")
        yield entry


def _chunk(column: Fields) -> Chunk:
    about = column.get(_ABOUT)
    path = about.get(_PATH) if isinstance(about, dict) else None
    if not isinstance(about, dict) or not isinstance(path, list):
        raise ValueError("its footer does not say where a column lies")
    parts = [part.decode("utf-8", "replace") for part in path if isinstance(part, bytes)]
    numbers = [about.get(field, 0) for field in (_VALUES, _PACKED, _DATA, _DICTIONARY)]
    values, packed, data, dictionary = (n if isinstance(n, int) else -1 for n in numbers)
    if min(values, packed, data, dictionary) < 0:
        raise ValueError(f"its footer has a senseless number for column {'.'.join(parts)[:60]!r}")
    start = min(data, dictionary) if dictionary else data
    return Chunk(".".join(parts), start, packed, values)
