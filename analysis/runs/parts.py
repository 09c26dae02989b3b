"""One part of a run on disk: rows in a Parquet file that says which run and part it is."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from litelvlm.analysis.runs.outcome import Counts, Frozen
from litelvlm.analysis.runs.record import Session
from litelvlm.data.files import atomic_write

_META = b"litelvlm"
UNREADABLE = (OSError, ValueError, KeyError, pa.ArrowException)
"""What reading a damaged part may raise."""


class PartMeta(Frozen):
    """What a part says of itself.

    Attributes:
        key: Digest of the run's key.
        part: Place of the part, from 0.
        of: Parts of the whole run.
        rows: Number of its rows.
        counts: What became of its samples.
        failures: What failed.
        notes: What a reader of its rows should know.
        session: The process that computed it; None in parts of earlier versions.
        digest: Of the rows; a row changed by hand no longer fits it.
    """

    key: str
    part: int
    of: int
    rows: int
    counts: Counts
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    session: Session | None = None
    digest: str = ""


class StoredPart(NamedTuple):
    """A part as read from disk."""

    table: pa.Table
    meta: PartMeta


def write_part(path: Path, rows: Sequence[Mapping[str, object]], meta: PartMeta) -> None:
    """Write a finished part, whole or not at all."""
    # Arrow would take its columns from the first row alone and drop what only later rows have.
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    meta = meta.model_copy(update={"digest": rows_digest(table)})
    table = table.replace_schema_metadata({_META: meta.model_dump_json()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    atomic_write(path, buffer.getvalue())


def read_part(path: Path) -> StoredPart:
    """Read a part.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If its rows are not those that were written.
        KeyError: If it does not say which part it is.
        pyarrow.ArrowException: If it is damaged.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        raise OSError(f"{path} is no file")
    file = pq.ParquetFile(path, page_checksum_verification=True)
    meta = PartMeta.model_validate(json.loads((file.schema_arrow.metadata or {})[_META]))
    table = file.read()
    if table.num_rows != meta.rows:
        raise ValueError(f"it has {table.num_rows} rows where {meta.rows} were written")
    if rows_digest(table) != meta.digest:
        raise ValueError("its rows were changed after they were written")
    return StoredPart(table, meta)


def rows_digest(table: pa.Table) -> str:
    """Sha256 over the names and values of all columns, whatever the version of the file format."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name}\0".encode())
        kind = column.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            wide = pa.float64() if pa.types.is_floating(kind) else pa.int64()
            digest.update(column.is_null().to_numpy().tobytes())
            digest.update(column.cast(wide).fill_null(0).to_numpy().tobytes())
        else:
            digest.update(json.dumps(column.to_pylist()).encode())
    return digest.hexdigest()


def part_files(folder: Path, n_parts: int) -> tuple[list[Path], list[Path]]:
    """Files of the parts of a run in order, and whatever else lies beside them.

    A file of another name is no part: file synchronisers leave copies beside the original.

    Args:
        folder: The run folder.
        n_parts: Parts of the whole run.
    """
    named = {part_name(index, n_parts): index for index in range(n_parts)}
    found = sorted((folder / "rows").iterdir()) if (folder / "rows").is_dir() else []
    parts = sorted((path for path in found if path.name in named), key=lambda p: named[p.name])
    return parts, [path for path in found if path.name not in named]


def part_name(index: int, n_parts: int) -> str:
    """Name of the file of a part, counted from 0."""
    return f"part-{index:04d}-of-{n_parts:04d}.parquet"
