"""The record that a run begins with, or that a resumed run had before."""

import logging
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.origin import provenance
from litelvlm.analysis.runs.origin.determinism import determinism_flags
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.record import RunKey, RunRecord
from litelvlm.data.files import set_aside

log = logging.getLogger(__name__)


def new_record(
    key: RunKey,
    n_parts: int,
    shard: Shard,
    seeds: Mapping[str, int],
    limit: int | None,
    protocol: str,
    excluded: Sequence[Exclusion],
) -> RunRecord:
    """The record of a run that begins now, in this process."""
    commit, dirty = provenance.git_state()
    return RunRecord(
        state="running",
        study=key.study,
        key=key.digest,
        n_parts=n_parts,
        limit=limit,
        shard=str(shard),
        protocol=protocol,
        excluded=tuple(excluded),
        command=provenance.command(),
        commit=commit,
        dirty=dirty,
        versions=provenance.versions(),
        python=platform.python_version(),
        platform=platform.platform(),
        machine=provenance.machine(),
        determinism=determinism_flags(),
        seeds=dict(seeds),
        model=key.model,
        data=key.data,
        started=now(),
    )


def resumed_record(folder: Path, record: RunRecord) -> RunRecord:
    """Keep the provenance that a resumed run began with."""
    path = folder / "run.json"
    try:
        before = RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return record
    except (OSError, ValidationError) as error:
        log.warning("%s is damaged and written again (%s)", path, first_line(error))
        set_aside(path)
        return record
    same = ("study", "key", "n_parts", "model", "data")
    if any(getattr(before, name) != getattr(record, name) for name in same):
        aside = set_aside(path)
        log.warning("%s was changed by hand; it is now %s and written again", path, aside.name)
        return record
    return before.model_copy(
        update={"ended": None, "limit": record.limit, "excluded": record.excluded}
    )


def first_line(error: Exception) -> str:
    """What an error says first, in at most 120 characters."""
    if isinstance(error, ValidationError):
        found = error.errors()[0]
        return ": ".join([*map(str, found["loc"]), found["msg"]])[:120]
    return str(error).partition("\n")[0][:120]


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
