"""Map a study over images: finished parts are left alone, failures are counted, an interrupt keeps what is there."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm.auto import tqdm

from litelvlm.analysis.runs import provenance
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.config import StudyConfig, asked_shares
from litelvlm.analysis.runs.folder import Run, Shard, open_run
from litelvlm.analysis.runs.record import Counts, RunKey, Summary, Table

log = logging.getLogger(__name__)
_MAPPER: ContextVar["Mapper | None"] = ContextVar("mapper", default=None)
_WORK_ONLY: ContextVar[bool] = ContextVar("work_only", default=False)


@dataclass(frozen=True)
class Item:
    """One image of the data set: its index and how many expressions it has."""

    index: int
    n: int


class ItemResult(NamedTuple):
    """Rows of one image.

    Attributes:
        rows: Plain values by column.
        skipped: The reason for each of its expressions that was left out on purpose.
        notes: What else the record should say.
    """

    rows: list[dict[str, Any]]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """How the rows of one image are made.

    Attributes:
        compute: From what was loaded to rows.
        load: From the index of an image to what ``compute`` takes; runs ahead in a thread of its
            own, so it must not touch the model. The index itself if left out.
        key: What the rows depend on.
    """

    compute: Callable[[Any], ItemResult]
    load: Callable[[int], Any] = int
    key: RunKey | None = None


class WorkMade(Exception):
    """Ends a study's ``run`` where the first row would be computed; holds the work."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work


class PartResult(NamedTuple):
    """Rows of one part, what became of its samples, what failed, and what else the record should say."""

    rows: list[dict[str, Any]]
    counts: Counts
    failures: tuple[str, ...]
    notes: tuple[str, ...]


# Computes parts wherever it likes and hands each one back as it is finished, in any order.
Mapper = Callable[[Sequence[int], Sequence[Sequence[Item]], Work], Iterator[tuple[int, PartResult]]]


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


@contextmanager
def computed_by(mapper: Mapper) -> Iterator[None]:
    """Let studies that run within the block compute their parts by ``mapper``."""
    token = _MAPPER.set(mapper)
    try:
        yield
    finally:
        _MAPPER.reset(token)


def work_of(run: Callable[[], Any]) -> Work:
    """What a study would compute, without computing or writing anything: for a process that is handed single parts.

    Args:
        run: Calls the study, which does all that it does before its first row.

    Raises:
        ValueError: If no study was called.
    """
    token = _WORK_ONLY.set(True)
    try:
        run()
    except WorkMade as made:
        return made.work
    finally:
        _WORK_ONLY.reset(token)
    raise ValueError("no study was run; call the run function of one")


def make_chunks(
    sizes: Sequence[int], chunk_size: int, limit: int | None = None
) -> list[tuple[Item, ...]]:
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


def map_chunks(
    run: Run,
    chunks: Sequence[Sequence[Item]],
    work: Work,
    mapper: Mapper | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Compute the missing parts of this process's share.

    A sample whose data cannot be used (``ValueError``, ``OSError``) is recorded as failed and the
    rest goes on; any other error stops the run. A part with failed samples is computed again by the
    next run. Progress goes to stderr.

    Args:
        run: Open run.
        chunks: Images of each part.
        work: From the index of an image to its rows.
        mapper: Where parts are computed; one after another in this process if left out.
        notes: Written with every part.

    Raises:
        RuntimeError: If no sample of the run succeeded.
    """
    mine = [part for part in range(len(chunks)) if run.shard.owns(part)]
    known = {part: run.read_part(part) for part in mine}
    missing = [part for part, found in known.items() if found is None or found.failures]
    if len(missing) < len(mine):
        log.info(
            "%s: %d of %d parts are there already",
            run.folder.name,
            len(mine) - len(missing),
            len(mine),
        )
    done_before = sum(found.counts.done for found in known.values() if found and not found.failures)
    done, last_failure = 0, ""
    total = sum(item.n for part in missing for item in chunks[part])
    with tqdm(total=total, unit="expr", desc=run.key.study) as bar:
        for part, result in (mapper or in_process)(missing, chunks, work):
            run.write_part(
                part, result.rows, result.counts, result.failures, (*notes, *result.notes)
            )
            done += result.counts.done
            last_failure = result.failures[-1] if result.failures else last_failure
            bar.update(result.counts.expected)
            del result  # its rows are let go before the next part begins
    if last_failure and not done + done_before:
        raise RuntimeError(f"no sample succeeded; the last failure: {last_failure}")


def in_process(
    parts: Sequence[int], chunks: Sequence[Sequence[Item]], work: Work
) -> Iterator[tuple[int, PartResult]]:
    """Parts one after another; the next image is loaded while one is computed."""
    items = [item for part in parts for item in chunks[part]]
    loaded = ahead(work.load, [item.index for item in items])
    for part in parts:
        yield part, run_chunk(chunks[part], work.compute, loaded)


def ahead(load: Callable[[int], Any], indices: Sequence[int]) -> Iterator[Callable[[], Any]]:
    """For each index in turn a function that gives what was loaded; one image is loaded ahead.

    Example:
        >>> [take() for take in ahead(lambda index: index * 10, [1, 2])]
        [10, 20]
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        current: Future[Any] | None = None
        for index in [*indices, None]:
            following = None if index is None else pool.submit(load, index)
            if current is not None:
                yield current.result
            current = following


def run_chunk(
    chunk: Sequence[Item], compute: Callable[[Any], ItemResult], loaded: Iterator[Callable[[], Any]]
) -> PartResult:
    """Compute one part.

    Args:
        chunk: Its images.
        compute: From what was loaded to rows.
        loaded: Gives what was loaded for each of them in turn.
    """
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    notes: list[str] = []
    counts = Counts()
    for item in chunk:
        take = next(loaded)
        try:
            result = compute(take())
        except (ValueError, OSError) as error:
            text = provenance.scrub(f"image {item.index}: {type(error).__name__}: {error}")
            log.error("sample failed: %s", text)
            failures.append(text)
            counts += Counts(expected=item.n, failed=item.n)
        else:
            reasons = {reason: result.skipped.count(reason) for reason in set(result.skipped)}
            rows += result.rows
            notes += result.notes
            counts += Counts(expected=item.n, done=item.n - len(result.skipped), skipped=reasons)
    return PartResult(rows, counts, tuple(failures), tuple(notes))


def run_study(
    study: Study,
    model: Any,
    data: Any,
    config: StudyConfig,
    out: str | Path,
    shard: Shard,
    function: Callable[[Any], ItemResult],
    resolved: Mapping[str, Any] | None = None,
    load: Callable[[int], Any] = int,
    notes: Sequence[str] = (),
) -> Path:
    """Run a study over a data set and, once every part is there, write its summary.

    Args:
        study: The study.
        model: The model.
        data: The data set.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute.
        function: From what ``load`` gives for an image to its rows.
        resolved: Fields whose value depends on the model (budgets), to be recorded as used.
        load: From the index of an image to what ``function`` takes, without the model; the index
            itself if left out.
        notes: What the record should say besides.

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
        code=provenance.code_digest(
            [*provenance.SCORING_CODE, f"analysis.{study.name}", *study.code]
        ),
    )
    work = Work(function, load, key)
    if _WORK_ONLY.get():
        raise WorkMade(work)
    limit = config.limit if len(sizes) > sum(map(len, chunks)) else None
    protocol = getattr(config, "protocol", "single")
    with open_run(out, key, len(chunks), shard, {"seed": config.seed}, limit, protocol) as run:
        shares = asked_shares(config, tuple((resolved or {}).get("budgets", ())))
        map_chunks(run, chunks, work, _MAPPER.get(), (*shares, *notes))
        run.count()
        if (
            run.record.complete
        ):  # before the state is settled: a run that says it is done has its summary
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
