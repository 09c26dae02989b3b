"""Measured paired differences between two readings of a method, through the sweep.

Every condition (protocol and options of the model) is one sweep of the methods that need it. Rows
of all conditions of one protocol are joined by expression, so that every difference is paired. A
reading that is drawn is compared with itself, in runs that draw sentences and templates anew.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.pages.audit.entries import Audited, Statement
from litelvlm.analysis.runs.messages.reasons import reasons
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.config import Config, Protocol
from litelvlm.analysis.studies.sweep.paired import PairedScores, pair_scores
from litelvlm.analysis.studies.sweep.tables import seed_table
from litelvlm.analysis.studies.table import run_study
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel

Options = tuple[str, ...]
Condition = tuple[Protocol, Options]
"""What one sweep has in common: its protocol, and the options of the model."""
Refused = Mapping[tuple[Protocol, str, int], str]
"""Reasons by protocol, reading and budget."""
DRAWS = 16
"""Runs that are drawn: with so many the interval of the deviation ends at about 1.5 times it."""
CIOU = SCORES["ciou"]
BUNDLED = Path(__file__).parent / "measured.json"
"""File of the differences that come with the suite."""


class Difference(Frozen):
    """First minus second reading at one budget.

    Attributes:
        method: Of the audit.
        id: Of the statement.
        protocol: Of the comparison.
        budget: Tokens kept.
        first: The released reading.
        second: The other reading.
        ciou: cIoU of both, or None if a reading refuses the budget.
        delta: Difference of cIoU.
        low: Lower end of its 95 % interval, from resampling images; None with one image.
        high: Upper end.
        p: Of an image-level swap of the two readings.
        p_holm: The same, adjusted over all differences of the audit.
        same: Whether no pixel count differs.
        unpruned: Difference of the unpruned models, where the readings are options of the model.
        refused: Why there is no number; empty if there is one.
    """

    method: str
    id: str
    protocol: str
    budget: int
    first: str
    second: str
    ciou: tuple[float, float] | None = None
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    same: bool = False
    unpruned: float | None = None
    refused: str = ""


class Draws(Frozen):
    """cIoU of one reading at one budget in several runs.

    Attributes:
        method: Of the audit.
        id: Of the statement.
        budget: Tokens kept; that of the unpruned model in its own line.
        reading: Its label.
        ciou: Of every run, in the order of the draws.
    """

    method: str
    id: str
    budget: int
    reading: str
    ciou: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """Standard deviation over the runs (divisor: their number less one)."""
        return float(np.std(self.ciou, ddof=1))

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval of ``deviation``, from the chi-squared distribution."""
        free = len(self.ciou) - 1
        low, high = (float(stats.chi2.ppf(level, free)) for level in (0.975, 0.025))
        return self.deviation * sqrt(free / low), self.deviation * sqrt(free / high)


class AuditResults(Frozen):
    """All differences of an audit, scores of repeated draws, and what both were measured on."""

    model: str
    weights: str
    data: str
    n_images: int
    n: int
    date: str
    commit: str
    command: str
    runs: tuple[str, ...]
    differences: tuple[Difference, ...]
    draws: tuple[Draws, ...] = ()


def shown(label: str, options: Options) -> str:
    """A reading in tables.

    Example:
        >>> shown("litelvlm", ("crop=pad",))
        'litelvlm [crop=pad]'
    """
    name = Method.parse(label).label
    return f"{name} [{', '.join(options)}]" if options else name


def conditions(tables: Sequence[Audited]) -> dict[Condition, tuple[Method, ...]]:
    """The sweeps that the statements need, each with its methods, none twice."""
    found: dict[Condition, dict[str, Method]] = {}
    for statement in (one for table in tables for one in table.statement):
        drawn = ((statement.drawn, ()),) if statement.drawn else ()
        for label, options in (*statement.readings, *drawn):
            method = Method.parse(label)
            found.setdefault((statement.protocol, options), {})[method.label] = method
    return {place: tuple(methods.values()) for place, methods in found.items()}


def measure(
    tables: Sequence[Audited],
    load_model: Callable[[Options], GroundingModel],
    data: Dataset,
    budgets: tuple[int | float, ...] | None,
    out: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    accept_versions: bool = False,
) -> AuditResults:
    """Compute every sweep that is missing, and the differences.

    Args:
        tables: Methods of the audit.
        load_model: Loads the model with options besides its own.
        data: The split.
        budgets: Token counts or shares; None for a third and a ninth of all tokens.
        out: Folder of all runs; the same call goes on with what is there.
        limit: Images at most.
        seed: Of what is drawn at random.
        accept_versions: Go on with runs that other versions of the libraries began.

    Raises:
        ValueError: If no statement can be measured.
        RuntimeError: If samples failed.
    """
    needed, load = conditions(tables), cache(load_model)
    if not needed:
        names = ", ".join(table.method for table in tables)
        raise ValueError(f"no statement about {names} has two readings or draws to compare")
    configs = {
        place: Config(
            methods=methods,
            budgets=budgets or (1 / 3, 1 / 9),
            seeds=DRAWS if place[0] == "official" else 1,
            protocol=place[0],
            limit=limit,
            seed=seed,
        )
        for place, methods in needed.items()
    }
    runs = dict[Condition, SavedRun]()
    for (protocol, options), config in configs.items():
        asked = {name: getattr(config, name) for name in config.model_fields_set}
        run = run_study("sweep", load(options), data, out, accept_versions=accept_versions, **asked)
        failures = run.record.failures
        if failures:
            raise RuntimeError(f"{run.folder}: {len(failures)} samples failed: {failures[0]}")
        runs[protocol, options] = run
    first = next(iter(runs.values()))
    record = first.record
    changed = ", with uncommitted changes" if record.dirty else ""
    return AuditResults(
        model=record.model["name"],
        weights=record.model["digest"][:12],
        data=f"{record.data['name']}, {record.data['split']}",
        n_images=first.rows["image_id"].nunique(),
        n=first.rows["sent_id"].nunique(),
        date=(record.ended or record.started)[:10],
        commit=(record.commit or "unknown") + changed,
        command=record.command,
        runs=tuple(run.folder.name for run in runs.values()),
        differences=_differences(tables, runs),
        draws=tuple(_draws(tables, runs)),
    )


def _differences(
    tables: Sequence[Audited], runs: Mapping[Condition, SavedRun]
) -> tuple[Difference, ...]:
    """The two readings of every statement at every budget, p-values adjusted over all."""
    refused = {
        (protocol, shown(method, options), budget): reason
        for (protocol, options), run in runs.items()
        for (method, budget), reason in reasons(run.record.excluded).items()
    }
    found = list[Difference]()
    for protocol in sorted({protocol for protocol, _ in runs} - {"official"}):
        labelled = [
            run.rows.assign(method=[shown(name, options) for name in run.rows["method"]])
            for (own, options), run in runs.items()
            if own == protocol
        ]
        paired = pair_scores(pd.concat(labelled, ignore_index=True))
        for table in tables:
            for statement in table.statement:
                if statement.readings and statement.protocol == protocol:
                    found += _of_statement(table.method, statement, paired, refused)
    tested = [place for place, one in enumerate(found) if one.p is not None]
    adjusted = holm(np.array([found[place].p for place in tested], dtype=np.float64))
    for place, p_holm in zip(tested, adjusted.tolist(), strict=True):
        found[place] = found[place].model_copy(update={"p_holm": p_holm})
    return tuple(found)


def _of_statement(
    method: str, statement: Statement, paired: PairedScores, refused: Refused
) -> Iterator[Difference]:
    """Its two readings at every budget; one that is refused has its reason."""

    def ciou(label: str, budget: int) -> float:
        return float(paired.drawn.value[paired.place(CIOU, (label, budget))])

    first, second = (shown(*reading) for reading in statement.readings)
    options = [options for _, options in statement.readings]
    whole = max(budget for _, budget in paired.cells)
    one_whole, other_whole = (ciou(shown(UNPRUNED, some), whole) for some in options)
    pruned = {budget for label, budget in paired.cells if label.partition(" [")[0] != UNPRUNED}
    for budget in sorted(pruned, reverse=True):
        cells = (first, budget), (second, budget)
        one = Difference(
            method=method,
            id=statement.id,
            protocol=statement.protocol,
            budget=budget,
            first=first,
            second=second,
        )
        if not set(cells) <= set(paired.cells):
            why = {refused.get((statement.protocol, *cell), "") for cell in cells}
            yield one.model_copy(update={"refused": "; ".join(sorted(filter(None, why)))})
            continue
        delta = paired.difference(CIOU, *cells).over_images.estimates()[0]
        counts, others = (paired.summands(CIOU, cell) for cell in cells)
        yield one.model_copy(
            update={
                "ciou": tuple(ciou(*cell) for cell in cells),
                "delta": delta.value,
                "low": delta.low if delta.defined else None,
                "high": delta.high if delta.defined else None,
                "p": paired.swap_p_value(CIOU, *cells),
                "same": np.array_equal(counts, others),
                "unpruned": one_whole - other_whole if options[0] != options[1] else None,
            }
        )


def _draws(tables: Sequence[Audited], runs: Mapping[Condition, SavedRun]) -> Iterator[Draws]:
    """Scores by draw of every drawn reading and, after them, of the unpruned model."""
    drawn = [(table.method, one) for table in tables for one in table.statement if one.drawn]
    if not drawn:
        return
    scores = seed_table(runs["official", ()].rows, CIOU).sort_values("seed")
    for method, one in drawn:
        for label in (Method.parse(one.drawn).label, UNPRUNED):
            own = scores[scores["method"] == label]
            for budget, drawn_runs in own.groupby("budget", sort=False):
                yield Draws(
                    method=method,
                    id=one.id,
                    budget=int(str(budget)),
                    reading=label,
                    ciou=tuple(drawn_runs["ciou"].tolist()),
                )
