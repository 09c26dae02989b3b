"""What the pages of a Parquet file will take once they are unpacked, by their own headers.

A footer may say little and its pages much more, so the headers of the pages are read, and nothing
is unpacked.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from litelvlm.data.safe.parquet_footer import Chunk
from litelvlm.data.safe.thrift import CompactReader, CutOffError, Fields

MAX_PAGE_BYTES = 2**29
"""Of one page, unpacked: 1,000 pictures of half a megabyte."""
MAX_VALUES = 20_000_000
"""Of one column in one row group: numbers, texts or pictures, counted inside lists too."""
MAX_HEADER_BYTES = 2**24
_FIRST_READ = 2**12
_DATA, _INDEX, _DICTIONARY, _DATA_2 = range(4)
_HEADERS = {_DATA: 5, _INDEX: 6, _DICTIONARY: 7, _DATA_2: 8}
_ENCODING = {_DATA: 2, _DICTIONARY: 2, _DATA_2: 4}
# Each text as a piece of the one before and something new: a few bytes may stand for any number.
_DELTA_TEXTS = 7


def check_pages(path: Path, chunks: Iterator[Chunk]) -> None:
    """Refuse a file whose pages would take more than is allowed, or hold more than is stated.

    Args:
        path: The file.
        chunks: The columns that will be read.

    Raises:
        ValueError: Naming the column and the bound.
    """
    with path.open("rb") as stream:
        for chunk in chunks:
            try:
                _check(stream, chunk)
            except ValueError as error:
                raise ValueError(f"column {chunk.name!r}: {error}") from error


def _check(stream: BinaryIO, chunk: Chunk) -> None:
    if chunk.values > MAX_VALUES:
        raise ValueError(
            f"{chunk.values:,} values in one row group; at most {MAX_VALUES:,} are read"
        )
    position, end, values = chunk.start, chunk.start + chunk.size, 0
    while position < end:
        header, length = _header(stream, position, end)
        kind = _number(header, 1)
        unpacked, packed = _number(header, 2), _number(header, 3)
        position += length + packed
        if position > end:
            raise ValueError(f"a page of {packed:,} bytes ends beyond its column")
        if unpacked > MAX_PAGE_BYTES:
            raise ValueError(
                f"a page of {packed:,} bytes says that it unpacks to {unpacked:,}; "
                f"at most {MAX_PAGE_BYTES:,} are read"
            )
        values += _values(header, kind)
    if values != chunk.values:
        raise ValueError(f"its pages hold {values:,} values, the footer says {chunk.values:,}")


def _values(header: Fields, kind: int) -> int:
    """Values of a page of data; 0 for another page."""
    if kind not in _HEADERS:
        raise ValueError(f"a page is of the unknown type {kind}")
    inner = header.get(_HEADERS[kind])
    if kind == _INDEX:
        return 0
    if not isinstance(inner, dict):
        raise ValueError("a page lacks the header of its type")
    if _number(inner, _ENCODING[kind]) == _DELTA_TEXTS:
        raise ValueError(
            "its texts are stored as differences (DELTA_BYTE_ARRAY), whose size cannot be known "
            "before they are read; write the file with another encoding"
        )
    return 0 if kind == _DICTIONARY else _number(inner, 1)


def _header(stream: BinaryIO, position: int, end: int) -> tuple[Fields, int]:
    """The header of a page and its length in bytes."""
    size = _FIRST_READ
    while True:
        stream.seek(position)
        reader = CompactReader(stream.read(min(size, end - position)))
        try:
            return reader.struct(), reader.position
        except CutOffError:
            if size >= min(MAX_HEADER_BYTES, end - position):
                raise
            size *= 16


def _number(fields: Fields, field: int) -> int:
    value = fields.get(field)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"field {field} of a page's header is {value!r}, not a number from 0")
    return value
