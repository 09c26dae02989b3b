"""Measured paired differences between two readings of a method, through the sweep.

Every condition (protocol and options of the model) is one sweep of the methods that need it. Rows
of all conditions of one protocol are joined by expression, so that every difference is paired.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.pages.audit.draws import DRAWS, Draws, draws_of
from litelvlm.analysis.pages.audit.entries import Audited
from litelvlm.analysis.runs.engine import complete_run
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.messages.reasons import reasons
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies import ablations
from litelvlm.analysis.studies.ablations.pairs import Pair, compare
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep import STUDY, Config
from litelvlm.analysis.studies.sweep.paired import pair_scores
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel

Options = tuple[str, ...]
MARGIN = ablations.Config().margin
LoadModel = Callable[[Options], GroundingModel]
Refused = Mapping[tuple[str, str, int], str]
"""Reasons by protocol, reading and budget."""
BUNDLED = Path(__file__).parent / "measured.json"
"""File of the differences that come with the suite."""


class SweepCondition(NamedTuple):
    """What one sweep has in common: its protocol, and the options of the model."""

    protocol: str
    options: Options


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


class AuditResults(Frozen):
    """All differences of an audit, scores of repeated draws, and what both were measured on."""

    model: str
    miniature: bool
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


def conditions(tables: Sequence[Audited]) -> dict[SweepCondition, tuple[Method, ...]]:
    """The sweeps that the statements need, each with its methods, none twice."""
    found: dict[SweepCondition, dict[str, Method]] = {}
    for table in tables:
        for statement in table.statement:
            drawn = ((statement.drawn, ()),) if statement.drawn else ()
            for label, options in (*statement.readings, *drawn):
                method = Method.parse(label)
                place = SweepCondition(statement.protocol, options)
                found.setdefault(place, {})[method.label] = method
    return {place: tuple(methods.values()) for place, methods in found.items()}


def measure(
    tables: Sequence[Audited],
    load_model: LoadModel,
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
    needed = conditions(tables)
    if not needed:
        names = ", ".join(table.method for table in tables)
        raise ValueError(f"no statement about {names} has two readings or draws to compare")
    folders: dict[SweepCondition, Path] = {}
    models: dict[Options, GroundingModel] = {}
    for place, methods in needed.items():
        if place.options not in models:
            models[place.options] = load_model(place.options)
        config = Config.model_validate(
            {
                "methods": methods,
                "budgets": budgets or (1 / 3, 1 / 9),
                "seeds": DRAWS if place.protocol == "official" else 1,
                "protocol": place.protocol,
                "limit": limit,
                "seed": seed,
            }
        )
        folders[place] = complete_run(
            STUDY, models[place.options], data, config, out, accept_versions=accept_versions
        )
        failures = read_record(folders[place]).failures
        if failures:
            raise RuntimeError(f"{folders[place]}: {len(failures)} samples failed: {failures[0]}")
    return _results(tables, folders)


def _results(tables: Sequence[Audited], folders: Mapping[SweepCondition, Path]) -> AuditResults:
    """Differences and draws, from finished runs."""
    records = {place: read_record(folder) for place, folder in folders.items()}
    rows = {place: read_rows(folder) for place, folder in folders.items()}
    refused = {
        (place.protocol, shown(method, place.options), budget): reason
        for place, record in records.items()
        for (method, budget), reason in reasons(record.excluded).items()
    }
    found, drawn = list[Difference](), list[Draws]()
    for protocol in sorted({place.protocol for place in folders}):
        own = [place for place in folders if place.protocol == protocol]
        if protocol == "official":
            drawn += [one for place in own for one in draws_of(tables, rows[place])]
        else:
            labelled = [_labelled(rows[place], place.options) for place in own]
            joined = pd.concat(labelled, ignore_index=True)
            found += _differences(tables, protocol, joined, refused)
    record, first = next(iter(records.values())), next(iter(rows.values()))
    changed = ", with uncommitted changes" if record.dirty else ""
    return AuditResults(
        model=str(record.model["name"]),
        miniature=is_miniature(record),
        weights=str(record.model["digest"])[:12],
        data=f"{record.data['name']}, {record.data['split']}",
        n_images=int(first["image_id"].nunique()),
        n=int(first["sent_id"].nunique()),
        date=(record.ended or record.started)[:10],
        commit=(record.commit or "unknown") + changed,
        command=record.command,
        runs=tuple(folder.name for folder in folders.values()),
        differences=_adjusted(found),
        draws=tuple(drawn),
    )


def _labelled(rows: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Rows whose methods carry the options of the model in their names."""
    more = f" [{', '.join(options)}]" if options else ""
    return rows.assign(method=[f"{name}{more}" for name in rows["method"]])


def _differences(
    tables: Sequence[Audited], protocol: str, rows: pd.DataFrame, refused: Refused
) -> Iterator[Difference]:
    """The two readings of every statement at every budget, refused ones with their reasons."""
    paired, score = pair_scores(rows), SCORES["ciou"]
    pruned = {budget for label, budget in paired.cells if label.partition(" [")[0] != UNPRUNED}
    budgets = sorted(pruned, reverse=True)
    whole = max(budget for _, budget in paired.cells)

    def ciou(label: str, budget: int) -> float:
        return float(paired.drawn.value[paired.place(score, (label, budget))])

    for table in tables:
        for statement in table.statement:
            if not statement.readings or statement.protocol != protocol:
                continue
            readings = statement.readings
            first, second = (shown(*reading) for reading in readings)
            pair = Pair(statement.id, first, second, "")
            compared = {one.budget: one for one in compare((pair,), paired, score, budgets, MARGIN)}
            unpruned = None
            if readings[0][1] != readings[1][1]:
                one, other = (ciou(shown(UNPRUNED, options), whole) for _, options in readings)
                unpruned = one - other
            for budget in budgets:
                facts: dict[str, object]
                if budget in compared:
                    delta = compared[budget].delta
                    counts, others = (
                        paired.summands(score, (label, budget)) for label in (first, second)
                    )
                    facts = {
                        "ciou": (ciou(first, budget), ciou(second, budget)),
                        "delta": delta.value,
                        "low": delta.low if delta.defined else None,
                        "high": delta.high if delta.defined else None,
                        "p": compared[budget].p_value,
                        "same": bool(np.array_equal(counts, others)),
                        "unpruned": unpruned,
                    }
                else:
                    known = (refused.get((protocol, side, budget)) for side in (first, second))
                    facts = {"refused": "; ".join(sorted({why for why in known if why}))}
                named = {"method": table.method, "id": statement.id, "protocol": protocol}
                named |= {"first": first, "second": second}
                yield Difference.model_validate(named | {"budget": budget} | facts)


def _adjusted(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """The differences with p-values adjusted over those that have one."""
    tested = [place for place, one in enumerate(found) if one.p is not None]
    raw = np.array([found[place].p for place in tested], dtype=np.float64)
    corrected = dict(zip(tested, holm(raw).tolist(), strict=True))
    return tuple(
        one.model_copy(update={"p_holm": corrected.get(place)}) for place, one in enumerate(found)
    )


def read_measured(path: Path) -> AuditResults:
    """Read differences from a file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it does not hold differences of an audit.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist; litelvlm audit --measure --numbers {path} makes it"
        )
    return AuditResults.model_validate_json(path.read_text(encoding="utf-8"))
