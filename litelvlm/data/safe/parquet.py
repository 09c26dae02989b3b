"""Parquet files of strangers: opened within bounds, and read without unfolding what is repeated."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MAX_ROWS = 1_000_000
"""Of one file; the largest split of the RefCOCO family has 120,000 sentences."""
MAX_COLUMNS = 1_000
MAX_ROW_BYTES = 2**26
"""Of the pictures and texts of one row."""
MAX_ROW_VALUES = 1_000_000
"""Numbers and texts of one row."""
MAX_LEVELS = 16
MAX_FOOTER = 2**24
"""Bytes of a text of the footer, and entries of a list of it."""
_BATCH = 16


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file; its footer is checked, nothing is unpacked.

    Raises:
        ValueError: If it would take more memory than is allowed; the message names the bound.
        pa.ArrowException: If it is no Parquet file, or damaged.
        OSError: If it cannot be read.
    """
    limits = {"thrift_string_size_limit": MAX_FOOTER, "thrift_container_size_limit": MAX_FOOTER}
    with pq.ParquetFile(path, **limits) as file:
        metadata = file.metadata
    if metadata.num_rows > MAX_ROWS or metadata.num_columns > MAX_COLUMNS:
        raise ValueError(
            f"it has {metadata.num_rows:,} rows and {metadata.num_columns:,} columns; "
            f"at most {MAX_ROWS:,} and {MAX_COLUMNS:,} are read"
        )
    schema = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    return pq.ParquetFile(
        path,
        # One text or picture that stands in many rows stays one in memory.
        read_dictionary=[leaf.path for leaf in schema if leaf.physical_type == "BYTE_ARRAY"],
        pre_buffer=False,
        buffer_size=2**16,
        schema_depth_limit=MAX_LEVELS,
        arrow_extensions_enabled=False,
        **limits,
    )


def read_rows(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[Mapping[str, object]]:
    """Rows of an open file, some at a time.

    Raises:
        ValueError: If a row is larger than is allowed (the message counts it from 0), or the file
            is damaged.
    """
    number = 0
    for group in range(file.num_row_groups):  # Arrow joins no dictionaries inside structs
        for batch in file.iter_batches(_BATCH, row_groups=[group], columns=list(columns)):
            for row in range(batch.num_rows):
                one = batch.slice(row, 1)
                values, size = _extent(pa.StructArray.from_arrays(one.columns, one.schema.names))
                if values > MAX_ROW_VALUES or size > MAX_ROW_BYTES:
                    raise ValueError(
                        f"row {number} has {values:,} values of {size:,} bytes; "
                        f"at most {MAX_ROW_VALUES:,} and {MAX_ROW_BYTES:,} are read"
                    )
                yield one.to_pylist()[0]
                number += 1


def _extent(array: pa.Array) -> tuple[int, int]:
    """Values of an array, lists unfolded, and bytes of its texts as Python would hold them."""
    kind = array.type
    if pa.types.is_struct(kind):
        found = [_extent(part) for part in array.flatten()]
        return sum(values for values, _ in found), sum(size for _, size in found)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        values, size = _extent(array.flatten())
        return values + len(array), size
    if pa.types.is_dictionary(kind):
        used = array.indices.drop_null().value_counts()
        lengths = pc.binary_length(array.dictionary.take(used.field("values")))
        size = pc.sum(pc.multiply(lengths.cast(pa.int64()), used.field("counts"))).as_py()
        return len(array), size or 0
    if pa.types.is_map(kind):
        raise ValueError("a column holds a map, which no data set of this form has")
    return len(array), int(array.nbytes)
