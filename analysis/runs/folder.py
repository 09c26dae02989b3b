"""Run folders: rows in whole parts, a record of how they came about, and the same command to go on.

``<out>/<study>-<key>/`` holds ``config.yaml`` (resolved), ``run.json`` (record),
``rows/part-0003-of-0040.parquet`` and ``summary.json``. A part names the process that computed it.
It counts as finished only if it can be read, its row count fits and its key matches.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import yaml
from pydantic import BaseModel, ValidationError

from litelvlm.analysis.runs.locks import Shard, hold
from litelvlm.analysis.runs.origin import provenance
from litelvlm.analysis.runs.origin.beginning import first_line, new_record, now, resumed_record
from litelvlm.analysis.runs.outcome import Counts, Exclusion
from litelvlm.analysis.runs.parts import (
    UNREADABLE,
    PartMeta,
    part_files,
    part_name,
    read_part,
    write_part,
)
from litelvlm.analysis.runs.record import RunKey, RunRecord, Session, State, Summary, Table
from litelvlm.data.files import atomic_write, is_aside, remove_debris, set_aside

log = logging.getLogger(__name__)
Stored = TypeVar("Stored", bound=BaseModel)


class Run:
    """An open run folder of this process; made by ``open_run``.

    Attributes:
        folder: The run folder.
        key: What the rows depend on.
        n_parts: Parts of the whole run.
        shard: Share this process computes.
        record: As it will be written next.
        session: This process, which every part that it writes names.
    """

    def __init__(
        self, folder: Path, key: RunKey, n_parts: int, shard: Shard, record: RunRecord
    ) -> None:
        self.folder, self.key, self.n_parts, self.shard = folder, key, n_parts, shard
        self.session = Session.model_validate(
            {name: getattr(record, name) for name in Session.model_fields}
        )
        self.record = resumed_record(folder, record)
        self._checked: dict[int, tuple[tuple[int, int], PartMeta]] = {}

    def part_path(self, index: int) -> Path:
        """File of a part, counted from 0."""
        return self.folder / "rows" / part_name(index, self.n_parts)

    def read_part(self, index: int) -> PartMeta | None:
        """What became of a part's samples; None, with a message, if the part does not count.

        A file that has not changed since it was checked is not read again.
        """
        path = self.part_path(index)
        if not os.path.lexists(path):  # a link to nowhere is there
            return None
        try:
            status = path.stat()
            stamp = status.st_size, status.st_mtime_ns
            if index in self._checked and self._checked[index][0] == stamp:
                return self._checked[index][1]
            meta = read_part(path).meta
            if (meta.key, meta.part, meta.of) != (self.key.digest, index, self.n_parts):
                raise ValueError("it belongs to another run")
        except UNREADABLE as error:
            aside = set_aside(path)
            log.warning(
                "part %s does not count and will be computed again: %s; it is now %s",
                path.name,
                first_line(error),
                aside.name,
            )
            return None
        self._checked[index] = stamp, meta
        return meta

    def write_part(
        self,
        index: int,
        rows: Sequence[Mapping[str, object]],
        counts: Counts,
        failures: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        """Write a finished part, whole or not at all."""
        meta = PartMeta(
            key=self.key.digest,
            part=index,
            of=self.n_parts,
            rows=len(rows),
            counts=counts,
            failures=tuple(failures),
            notes=tuple(notes),
            session=self.session,
        )
        write_part(self.part_path(index), rows, meta)

    def finished(self) -> list[PartMeta]:
        """All parts that count, of every share, in order."""
        return [part for part in map(self.read_part, range(self.n_parts)) if part is not None]

    def rows(self) -> pd.DataFrame:
        """All finished rows as one table."""
        return read_rows(self.folder)

    def write_summary(self, summary: Summary) -> None:
        """Write ``summary.json``."""
        path = self.folder / "summary.json"
        if path.is_dir():
            log.warning("%s is a folder; it is now %s", path, set_aside(path).name)
        atomic_write(path, summary.model_dump_json(indent=1) + "\n")

    def save(self, state: State, **changes: object) -> None:
        """Write ``run.json`` with a new state."""
        self.record = self.record.model_copy(update={"state": state, **changes})
        atomic_write(self.folder / "run.json", self.record.model_dump_json(indent=1) + "\n")

    def count(self) -> None:
        """Count the parts and set the state: failed, done, or partial if parts or images miss."""
        parts = self.finished()
        failures = tuple(text for part in parts for text in part.failures)
        sessions = {repr(part.session): part.session for part in parts if part.session}
        complete = len(parts) == self.n_parts and self.record.limit is None
        self.record = self.record.model_copy(
            update={
                "state": "failed" if failures else "done" if complete else "partial",
                "parts_done": len(parts),
                "counts": sum((part.counts for part in parts), Counts()),
                "failures": failures,
                "notes": tuple(dict.fromkeys(text for part in parts for text in part.notes)),
                "sessions": tuple(sorted(sessions.values(), key=lambda one: one.started)),
            }
        )

    def close(self) -> None:
        """Count the parts and write the record."""
        self.count()
        self.save(self.record.state, ended=now())


@contextmanager
def open_run(
    out: str | Path,
    key: RunKey,
    n_parts: int,
    shard: Shard | None = None,
    seeds: Mapping[str, int] | None = None,
    limit: int | None = None,
    protocol: str = "single",
    excluded: Sequence[Exclusion] = (),
) -> Iterator[Run]:
    """Open the folder of a new or unfinished run, and settle its state at the end.

    Args:
        out: Folder of all runs; made if missing.
        key: Names the run folder.
        n_parts: Parts of the whole run.
        shard: Share of the parts that this process computes; all if left out.
        seeds: For the record.
        limit: Images the run is limited to, which marks it partial.
        protocol: For the record.
        excluded: For the record.

    Raises:
        OSError: If the folder cannot be made or written.
        RunLockedError: If another process is computing the same parts.
    """
    shard = shard or Shard()
    folder = Path(out) / key.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder, shard):
        if (folder / "rows").is_file():
            log.warning("%s/rows is a file; it is now %s", folder, set_aside(folder / "rows").name)
        (folder / "rows").mkdir(exist_ok=True)
        # Whoever holds the whole run is alone here; another share may be writing right now.
        age = 0.0 if shard.count == 1 else 3600.0
        for old in (*remove_debris(folder, age), *remove_debris(folder / "rows", age)):
            log.info("removed what an interrupted run left: %s", old.name)
        for path in foreign_files(folder, n_parts):
            aside = set_aside(path)
            log.warning("%s is no part of this run; it is now %s", path, aside.name)
        _write_config(folder, key)
        record = new_record(key, n_parts, shard, seeds or {}, limit, protocol, excluded)
        run = Run(folder, key, n_parts, shard, record)
        run.count()
        run.save("running")
        try:
            yield run
        except KeyboardInterrupt:
            run.close()
            run.save("partial")
            raise
        except BaseException as error:
            run.close()
            reason = provenance.scrub(f"stopped by {type(error).__name__}: {error}")
            run.save("failed", failures=(*run.record.failures, reason))
            raise
        run.close()


def read_record(folder: str | Path) -> RunRecord:
    """Read ``run.json``.

    Raises:
        FileNotFoundError: If the folder holds no record.
        ValueError: If the record is damaged.
    """
    return _read(Path(folder), "run.json", RunRecord)


def read_summary(folder: str | Path) -> Summary:
    """Read ``summary.json``.

    Raises:
        FileNotFoundError: If the folder holds no summary, as long as parts are missing.
        ValueError: If the summary is damaged.
    """
    return _read(Path(folder), "summary.json", Summary)


def foreign_files(folder: Path, n_parts: int) -> list[Path]:
    """Files beside the parts of a run that neither are parts nor were set aside before."""
    _, others = part_files(folder, n_parts)
    return [path for path in others if not path.name.startswith(".") and not is_aside(path)]


def read_rows(folder: str | Path) -> pd.DataFrame:
    """Read all finished parts of a run as one table, in order.

    Other files beside them are not read and named in the log.

    Raises:
        FileNotFoundError: If the folder holds no record of a run, or no part.
        ValueError: If the record is damaged, or a part cannot be read or is of another run; the
            file is named.
    """
    folder = Path(folder)
    record = read_record(folder)
    paths, _ = part_files(folder, record.n_parts)
    for path in foreign_files(folder, record.n_parts):
        log.warning("%s is no part of this run and is not read; move it away", path)
    if not paths:
        raise FileNotFoundError(
            f"{folder} has no rows; run the study with the same command to compute them"
        )
    tables = []
    for path in paths:
        try:
            table, meta = read_part(path)
            if (meta.key, part_name(meta.part, meta.of)) != (record.key, path.name):
                raise ValueError("it is a part of another run, or another part of this one")
        except UNREADABLE as error:
            raise ValueError(
                f"{path} cannot be read ({error}); run the study again to replace it"
            ) from error
        tables.append(table.replace_schema_metadata(None))
    filled = [table for table in tables if table.num_columns]
    if not filled:
        return pd.DataFrame()
    frame: pd.DataFrame = pa.concat_tables(filled, promote_options="permissive").to_pandas()
    return frame


def add_table(folder: str | Path, name: str, frame: pd.DataFrame) -> None:
    """Keep a table of another run in the summary of a finished one, for figures of both.

    Raises:
        FileNotFoundError: If the folder holds no summary.
    """
    summary = read_summary(folder)
    tables = summary.tables | {name: Table.from_frame(frame)}
    text = summary.model_copy(update={"tables": tables}).model_dump_json(indent=1)
    atomic_write(Path(folder) / "summary.json", text + "\n")


def _read(folder: Path, name: str, kind: type[Stored]) -> Stored:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(_missing(folder, name))
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"{path} is damaged ({first_line(error)}); run the study again, which rebuilds it"
        ) from error


def _missing(folder: Path, name: str) -> str:
    """What to say of a file that a run folder lacks."""
    if folder.is_dir():
        return f"{folder} has no {name}; is it a finished run folder?"
    runs = sorted(path.parent.name for path in folder.parent.glob("*/run.json"))
    there = f"runs in {folder.parent}: {', '.join(runs[:10])}" if runs else "no run is beside it"
    return f"there is no folder {folder}; {there}"


def _write_config(folder: Path, key: RunKey) -> None:
    text = yaml.safe_dump(key.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    path = folder / "config.yaml"
    if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
        log.warning(
            "config.yaml of %s was changed by hand; it is now %s, and the run writes its own",
            folder.name,
            set_aside(path).name,
        )
    atomic_write(path, text)
