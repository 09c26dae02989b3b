"""The engine runs a study: it keeps finished parts, counts failures and survives an interrupt."""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from litelvlm.analysis.runs.columns import Column, check_rows
from litelvlm.analysis.runs.config import requested_shares
from litelvlm.analysis.runs.folder import Run, open_run
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.runs.messages.events import Event, Watcher, nobody
from litelvlm.analysis.runs.messages.reasons import reasons_sentence
from litelvlm.analysis.runs.origin import provenance
from litelvlm.analysis.runs.origin.code import CodeTree
from litelvlm.analysis.runs.origin.earlier import continued_key
from litelvlm.analysis.runs.outcome import Counts
from litelvlm.analysis.runs.record import RunKey, Summary, Table
from litelvlm.analysis.runs.study import ConfigT, DataT, ModelT, Study
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.models.base import StudiedModel
from litelvlm.pruning.outside.own_code import foreign_digests, with_parts

log = logging.getLogger(__name__)
CODE = CodeTree()


@dataclass(frozen=True)
class Item:
    """One image of the data set.

    Attributes:
        index: Its place.
        n: How many samples it has.
        image_id: Its id, for messages.
    """

    index: int
    n: int
    image_id: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"image {self.index}" + ("" if self.image_id is None else f" (id {self.image_id})")


class PartResult(NamedTuple):
    """Rows of one part, what became of its samples, what failed, and what the record should say."""

    rows: list[dict[str, object]]
    counts: Counts
    failures: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A study that is ready to compute its parts.

    Attributes:
        key: What the rows depend on.
        chunks: Images of each part.
        work: How rows are made.
        columns: What a row may hold.
        limit: Images that the run is limited to; None if it takes all there are.
        advance: Takes the samples of each image that is finished, for a progress bar.
    """

    key: RunKey
    chunks: Sequence[Sequence[Item]]
    work: Work
    columns: tuple[Column, ...] = ()
    limit: int | None = None
    advance: Callable[[int], object] = lambda samples: None


# Computes parts wherever it likes and hands each one back as it is finished, in any order.
Mapper = Callable[[Sequence[int], Job], Iterator[tuple[int, PartResult]]]


def complete_run(
    study: Study[ModelT, DataT, ConfigT],
    model: ModelT,
    data: DataT,
    config: ConfigT,
    out: str | Path,
    shard: Shard | None = None,
    mapper: Mapper | None = None,
    accept_versions: bool = False,
    watch: Watcher = nobody,
) -> Path:
    """Compute the missing rows of a study and, once all are there, its summary.

    Args:
        study: The study.
        model: The model it asks.
        data: The split it asks about.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute; all if left out.
        mapper: Where parts are computed; one after another in this process if left out.
        accept_versions: Go on with a run that other versions of the libraries began.
        watch: Is told of every step, for instance to send it to an experiment tracker.

    Returns:
        The run folder.
    """
    job = prepare(study, model, data, config)
    with open_run(
        out,
        continued_key(out, job.key, accept_versions),
        len(job.chunks),
        shard or Shard(),
        seeds={"seed": config.seed},
        limit=job.limit,
        protocol=job.work.protocol,
        excluded=job.work.excluded,
    ) as run:
        watch(Event("started", study.name, run.folder))
        map_chunks(run, job, mapper or in_process, watch)
        run.count()
        summary = None
        if run.record.complete:  # before the state is settled: a finished run has its summary
            summary = summary_of(study, config, run)
            run.write_summary(summary)
    watch(Event("finished", study.name, run.folder, summary=summary))
    return run.folder


def prepare(
    study: Study[ModelT, DataT, ConfigT], model: ModelT, data: DataT, config: ConfigT
) -> Job:
    """Everything before the first row; computes and writes none.

    Raises:
        ValueError: If the model lacks what the study reads, or a field of the configuration does
            not go with it.
    """
    if not study.fits(model):
        raise ValueError(study.refusal(model))
    if isinstance(model, StudiedModel):  # only such a model has question templates
        config.check_model(model)
    work = study.prepare(model, data, config)
    sizes, ids = work.samples()
    resolved = config.model_dump(mode="json") | dict(work.resolved or {})
    key = RunKey(
        study=study.name,
        config=resolved,
        model=provenance.model_identity(model),
        data=provenance.data_identity(data),
        code=code_of(
            (study.prepare, *map(type, with_parts(work.methods))), (type(model), type(data))
        ),
        versions=provenance.versions(provenance.COMPUTING),
    )
    shares = requested_shares(config, resolved)
    chunks = make_chunks(sizes, config.chunk_size, config.limit, ids)
    limit = config.limit if len(sizes) > sum(map(len, chunks)) else None
    return Job(key, chunks, replace(work, notes=(*shares, *work.notes)), study.columns, limit)


def code_of(makers: Sequence[object], families: Sequence[type], tree: CodeTree = CODE) -> str:
    """Digest of all code that can change a row.

    A module outside this project counts by its own files alone (``foreign_digests``).

    Args:
        makers: Functions and classes: their modules count, with all that these import.
        families: Classes of model and data: the modules beside theirs count too, since those
            build and read what the classes hold.
        tree: The source files.
    """
    modules = {maker.__module__ for maker in (*makers, *families)}
    modules |= {name for family in families for name in tree.neighbours(family.__module__)}
    ours = {module for module in modules if tree.file(module)}
    foreign = [maker for maker in (*makers, *families) if maker.__module__ not in ours]
    return ";".join([tree.digest(tree.closure(ours)), *foreign_digests(foreign)])


def make_chunks(
    sizes: Sequence[int],
    chunk_size: int,
    limit: int | None = None,
    ids: Sequence[int] | None = None,
) -> list[tuple[Item, ...]]:
    """Group images into parts.

    Args:
        sizes: Samples of each image.
        chunk_size: Images per part.
        limit: Only the first so many images.
        ids: Of the images, for messages; left out where samples are no images.

    Raises:
        ValueError: If there is no image.
    """
    items = [Item(index, n, ids[index] if ids else None) for index, n in enumerate(sizes[:limit])]
    if not items:
        raise ValueError("the data set has no images; choose another split")
    starts = range(0, len(items), chunk_size)
    return [tuple(items[start : start + chunk_size]) for start in starts]


def map_chunks(run: Run, job: Job, mapper: Mapper, watch: Watcher = nobody) -> None:
    """Compute the missing parts of this process's share.

    A sample whose data cannot be used (``ValueError``, ``OSError``) is recorded as failed and the
    rest goes on. Any other error stops the run. A part with failed samples is computed again by
    the next run. Progress goes to stderr.

    Args:
        run: Open run.
        job: What to compute.
        mapper: Where parts are computed.
        watch: Is told of every step.

    Raises:
        RuntimeError: If no sample of the run succeeded.
    """
    mine = [part for part in range(len(job.chunks)) if run.shard.owns(part)]
    known = {part: run.read_part(part) for part in mine}
    missing = [part for part, found in known.items() if found is None or found.failures]
    if len(missing) < len(mine):
        kept = len(mine) - len(missing)
        log.info("%s: %d of %d parts are there already", run.folder.name, kept, len(mine))
    done_before = sum(found.counts.done for found in known.values() if found and not found.failures)
    done, last_failure = 0, ""
    total = sum(item.n for part in missing for item in job.chunks[part])
    counted = computed = 0
    with tqdm(total=total, unit="expr", desc=run.key.study) as bar:

        def advance(samples: int) -> None:
            bar.update(samples)
            nonlocal computed
            computed += samples
            event = Event("progress", run.key.study, run.folder, computed, total)
            bar.set_postfix_str(watch(event) or "", refresh=False)

        for part, result in mapper(missing, replace(job, advance=advance)):
            notes = (*job.work.notes, *result.notes)
            run.write_part(part, result.rows, result.counts, result.failures, notes)
            done += result.counts.done
            last_failure = result.failures[-1] if result.failures else last_failure
            counted += result.counts.expected
            advance(counted - computed)  # a mapper in other processes tells of whole parts only
            del result  # its rows are let go before the next part begins
    if last_failure and not done + done_before:
        raise RuntimeError(f"no sample succeeded; the last failure: {last_failure}")


def in_process(parts: Sequence[int], job: Job) -> Iterator[tuple[int, PartResult]]:
    """Compute parts one after another; the next image is read while one is computed."""
    items = [item for part in parts for item in job.chunks[part]]
    # Left to the garbage collector, the pool of a stopped run can be closed while another one
    # starts its thread, and both wait for ever.
    with closing(ahead(job.work.begin, [item.index for item in items])) as begun:
        for part in parts:
            yield part, run_chunk(job.chunks[part], begun, job.columns, job.advance)


def ahead(
    begin: Callable[[int], Callable[[], ItemResult]], indices: Sequence[int]
) -> Generator[Callable[[], Callable[[], ItemResult]], None, None]:
    """For each index in turn, wait for what ``begin`` gives; the next one is begun meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        current: Future[Callable[[], ItemResult]] | None = None
        for index in [*indices, None]:
            following = None if index is None else pool.submit(begin, index)
            if current is not None:
                yield current.result
            current = following


def run_chunk(
    chunk: Sequence[Item],
    begun: Iterator[Callable[[], Callable[[], ItemResult]]],
    columns: Sequence[Column],
    advance: Callable[[int], object] = lambda samples: None,
) -> PartResult:
    """Compute one part.

    Args:
        chunk: Its images.
        begun: For each of them in turn, waits for the function that computes its rows.
        columns: What a row may hold.
        advance: Takes the samples of each image that is finished.
    """
    rows: list[dict[str, object]] = []
    failures: list[str] = []
    notes: list[str] = []
    counts = Counts()
    for item in chunk:
        wait = next(begun)
        try:
            result = wait()()
        except (ValueError, OSError) as error:
            text = provenance.scrub(f"{item}: {type(error).__name__}: {error}")
            log.error("sample failed: %s", text)
            failures.append(text)
            counts += Counts(expected=item.n, failed=item.n)
        else:
            check_rows(result.rows, columns)
            reasons = {reason: result.skipped.count(reason) for reason in set(result.skipped)}
            rows += map(dict, result.rows)
            notes += result.notes
            counts += Counts(expected=item.n, done=item.n - len(result.skipped), skipped=reasons)
        advance(item.n)
    return PartResult(rows, counts, tuple(failures), tuple(notes))


def summary_of(study: Study[ModelT, DataT, ConfigT], config: ConfigT, run: Run) -> Summary:
    """Claims and tables from all rows of a run."""
    rows = run.rows()
    found = [] if rows.empty else study.claims(rows, config)
    claims = [claim.resampling(run.record.unit) for claim in found]
    tables = {} if rows.empty else study.tables(rows, config)
    return Summary(
        study=study.name,
        key=run.key.digest,
        partial=run.record.state != "done",
        counts=run.record.counts,
        claims=tuple(claims),
        interpretation=" ".join(
            filter(None, (study.interpret(claims, tables), reasons_sentence(claims)))
        ),
        tables={title: Table.from_frame(frame) for title, frame in tables.items()},
    )
