"""Map a study over images: finished parts are left alone, failures are counted, an interrupt keeps what is there."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm.auto import tqdm

from analysis import provenance
from analysis.claims import Claim
from analysis.config import StudyConfig
from analysis.record import Counts, RunKey, Summary, Table
from analysis.runs import Run, Shard, open_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """One image of the data set: its index and how many expressions it has."""

    index: int
    n: int


class ItemResult(NamedTuple):
    """Rows of one image, and the reason for each of its expressions that was left out on purpose."""

    rows: list[dict[str, Any]]
    skipped: tuple[str, ...] = ()


ItemFunction = Callable[[int], ItemResult]


@dataclass(frozen=True)
class Study:
    """What the engine needs of a study besides its configuration.

    Attributes:
        name: Begins the run folder's name; also the module below ``analysis``.
        summarise: From rows to claims.
        tables: From rows to the tables that figures and pages show.
        reading: What the claims mean together, in words.
        code: Modules of ``analysis`` that make its rows, besides its own.
    """

    name: str
    summarise: Callable[[pd.DataFrame], list[Claim]]
    tables: Callable[[pd.DataFrame], dict[str, pd.DataFrame]]
    reading: Callable[[Sequence[Claim]], str]
    code: tuple[str, ...] = ()


def make_chunks(sizes: Sequence[int], chunk_size: int, limit: int | None = None) -> list[tuple[Item, ...]]:
    """Group images into parts.

    Args:
        sizes: Expressions of each image.
        chunk_size: Images per part.
        limit: Only the first so many images.

    Raises:
        ValueError: If there is no image.
    """
    items = [Item(index, n) for index, n in enumerate(sizes[:limit])]
    if not items:
        raise ValueError("the data set has no images; choose another split")
    return [tuple(items[start : start + chunk_size]) for start in range(0, len(items), chunk_size)]


def map_chunks(run: Run, chunks: Sequence[Sequence[Item]], function: ItemFunction) -> None:
    """Compute the missing parts of this process's share, one after another.

    A sample whose data cannot be used (``ValueError``, ``OSError``) is recorded as failed and the rest goes on; any
    other error stops the run. A part with failed samples is computed again by the next run. Progress goes to stderr.

    Args:
        run: Open run.
        chunks: Images of each part.
        function: From the index of an image to its rows.

    Raises:
        RuntimeError: If no sample of the run succeeded.
    """
    mine = [part for part in range(len(chunks)) if run.shard.owns(part)]
    known = {part: run.read_part(part) for part in mine}
    missing = [part for part, found in known.items() if found is None or found.failures]
    if len(missing) < len(mine):
        log.info("%s: %d of %d parts are there already", run.folder.name, len(mine) - len(missing), len(mine))
    done_before = sum(found.counts.done for found in known.values() if found and not found.failures)
    done, last_failure = 0, ""
    with tqdm(total=sum(item.n for part in missing for item in chunks[part]), unit="expr", desc=run.key.study) as bar:
        for part in missing:
            counts, failures = _compute_part(run, part, chunks[part], function, bar.update)
            done += counts.done
            last_failure = failures[-1] if failures else last_failure
    if last_failure and not done + done_before:
        raise RuntimeError(f"no sample succeeded; the last failure: {last_failure}")


def _compute_part(
    run: Run, part: int, chunk: Sequence[Item], function: ItemFunction, progress: Callable[[int], object]
) -> tuple[Counts, tuple[str, ...]]:
    """Compute and write one part; its rows are let go before the next one begins."""
    rows, counts, failures = run_chunk(chunk, function, progress)
    run.write_part(part, rows, counts, failures)
    return counts, failures


def run_chunk(
    chunk: Sequence[Item], function: ItemFunction, progress: Callable[[int], object] = lambda n: None
) -> tuple[list[dict[str, Any]], Counts, tuple[str, ...]]:
    """Rows of one part, what became of its samples, and what failed."""
    rows: list[dict[str, Any]] = []
    failures, counts = [], Counts()
    for item in chunk:
        try:
            result = function(item.index)
        except (ValueError, OSError) as error:
            text = provenance.scrub(f"image {item.index}: {type(error).__name__}: {error}")
            log.error("sample failed: %s", text)
            failures.append(text)
            counts += Counts(expected=item.n, failed=item.n)
        else:
            reasons = {reason: result.skipped.count(reason) for reason in set(result.skipped)}
            rows += result.rows
            counts += Counts(expected=item.n, done=item.n - len(result.skipped), skipped=reasons)
        progress(item.n)
    return rows, counts, tuple(failures)


def run_study(
    study: Study,
    model: Any,
    data: Any,
    config: StudyConfig,
    out: str | Path,
    shard: Shard,
    function: ItemFunction,
    resolved: Mapping[str, Any] | None = None,
) -> Path:
    """Run a study over a data set and, once every part is there, write its summary.

    Args:
        study: The study.
        model: The model.
        data: The data set.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute.
        function: From the index of an image to its rows.
        resolved: Fields whose value depends on the model (budgets), to be recorded as used.

    Returns:
        The run folder.
    """
    sizes = [len(sample.expressions) for sample in data]
    chunks = make_chunks(sizes, config.chunk_size, config.limit)
    key = RunKey(
        study=study.name,
        config=config.model_dump(mode="json") | dict(resolved or {}),
        model=provenance.model_identity(model),
        data=provenance.data_identity(data),
        code=provenance.code_digest([*provenance.SCORING_CODE, f"analysis.{study.name}", *study.code]),
    )
    limit = config.limit if len(sizes) > sum(map(len, chunks)) else None
    with open_run(out, key, len(chunks), shard, {"seed": config.seed}, limit) as run:
        map_chunks(run, chunks, function)
        run.close()
        if run.record.complete:
            run.write_summary(summary_of(study, run))
    return run.folder


def summary_of(study: Study, run: Run) -> Summary:
    """Claims and tables from all rows of a run."""
    rows = run.rows()
    claims = tuple(study.summarise(rows))
    return Summary(
        study=study.name,
        key=run.key.digest,
        partial=run.record.state != "done",
        counts=run.record.counts,
        claims=claims,
        reading=study.reading(claims),
        tables={title: Table.from_frame(frame) for title, frame in study.tables(rows).items()},
    )
