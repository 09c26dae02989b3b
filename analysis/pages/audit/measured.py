"""Measured paired differences between two readings of a method, through the sweep.

Every condition (protocol and options of the model) is one sweep of the methods that need it. Rows
of all conditions of one protocol are joined by expression, so that every difference is paired.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.pages.audit.draws import DRAWS, Draws, draws_of
from litelvlm.analysis.pages.audit.statements import Audited, Statement
from litelvlm.analysis.runs.engine import complete_run
from litelvlm.analysis.runs.exclusions import reasons
from litelvlm.analysis.runs.folder import read_record
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.ablations.pairs import Pair, compare
from litelvlm.analysis.studies.sweep import STUDY, Config
from litelvlm.analysis.studies.sweep.estimates import cell_index, score_bootstrap
from litelvlm.analysis.studies.sweep.wide import Wide, widen
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel

Options = tuple[str, ...]
LoadModel = Callable[[Options], GroundingModel]


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
    return differences_of(tables, folders)


def differences_of(
    tables: Sequence[Audited], folders: Mapping[SweepCondition, Path]
) -> AuditResults:
    """The differences, from finished runs."""
    records = {place: read_record(folder) for place, folder in folders.items()}
    refused = {
        (place.protocol, shown(method, place.options), budget): reason
        for place, record in records.items()
        for (method, budget), reason in reasons(record.excluded).items()
    }
    found: list[Difference] = []
    drawn = [
        draws_of(tables, read_rows(folder))
        for place, folder in folders.items()
        if place.protocol == "official"
    ]
    for protocol in sorted({place.protocol for place in folders} - {"official"}):
        parts = [
            _labelled(read_rows(folder), place)
            for place, folder in folders.items()
            if place.protocol == protocol
        ]
        joined = Joined(widen(pd.concat(parts, ignore_index=True)))
        for table in tables:
            for statement in table.statement:
                if statement.measurable and statement.protocol == protocol:
                    found += joined.differences(table.method, statement, refused)
    record, rows = next(iter(records.values())), read_rows(next(iter(folders.values())))
    changed = ", with uncommitted changes" if record.dirty else ""
    return AuditResults(
        model=str(record.model["name"]),
        miniature=is_miniature(record),
        weights=str(record.model["digest"])[:12],
        data=f"{record.data['name']}, {record.data['split']}",
        n_images=int(rows["image_id"].nunique()),
        n=int(rows["sent_id"].nunique()),
        date=(record.ended or record.started)[:10],
        commit=(record.commit or "unknown") + changed,
        command=record.command,
        runs=tuple(folder.name for folder in folders.values()),
        differences=tuple(_adjusted(found)),
        draws=tuple(one for several in drawn for one in several),
    )


class Joined:
    """Rows of all conditions of one protocol, one line per expression."""

    def __init__(self, wide: Wide) -> None:
        self.wide = wide
        self.scores = score_bootstrap(wide)
        pruned = {budget for method, budget in wide.cells if not _is_unpruned(method)}
        self.budgets = sorted(pruned, reverse=True)
        self.whole = max(budget for _, budget in wide.cells)

    def ciou(self, label: str, budget: int) -> float:
        """Score (cIoU) of one cell."""
        return float(self.scores.value[cell_index(self.wide, (label, budget), "ciou")])

    def differences(
        self, method: str, statement: Statement, refused: Mapping[tuple[str, str, int], str]
    ) -> list[Difference]:
        """The two readings of a statement at every budget, refused ones with their reasons."""
        readings = statement.readings
        first, second = (shown(*reading) for reading in readings)
        pair = Pair(statement.id, first, second, "")
        compared = {
            one.budget: one for one in compare((pair,), self.wide, self.scores, self.budgets)
        }
        unpruned = None
        if readings[0][1] != readings[1][1]:
            wholes = [self.ciou(shown(UNPRUNED, options), self.whole) for _, options in readings]
            unpruned = wholes[0] - wholes[1]
        found = []
        for budget in self.budgets:
            why = {
                refused[statement.protocol, label, budget]
                for label in (first, second)
                if (statement.protocol, label, budget) in refused
            }
            difference = Difference(
                method=method,
                id=statement.id,
                protocol=statement.protocol,
                budget=budget,
                first=first,
                second=second,
                refused="; ".join(sorted(why)),
            )
            one = compared.get(budget)
            if one is not None:
                difference = difference.model_copy(
                    update={
                        "refused": "",
                        "ciou": (self.ciou(first, budget), self.ciou(second, budget)),
                        "delta": one.delta.value,
                        "low": one.delta.low if one.delta.defined else None,
                        "high": one.delta.high if one.delta.defined else None,
                        "p": one.p_value,
                        "same": _same(self.wide, (first, budget), (second, budget)),
                        "unpruned": unpruned,
                    }
                )
            found.append(difference)
        return found


def _is_unpruned(method: str) -> bool:
    return method.partition(" [")[0] == UNPRUNED


def _labelled(rows: pd.DataFrame, place: SweepCondition) -> pd.DataFrame:
    """Rows whose methods carry the options of the model in their names."""
    return rows.assign(
        method=[
            f"{name} [{', '.join(place.options)}]" if place.options else name
            for name in rows["method"]
        ]
    )


def _same(wide: Wide, first: tuple[str, int], second: tuple[str, int]) -> bool:
    return bool(np.array_equal(wide.pixels(first), wide.pixels(second)))


def _adjusted(found: Sequence[Difference]) -> list[Difference]:
    """The differences with p-values adjusted over those that have one."""
    tested = [place for place, one in enumerate(found) if one.p is not None]
    raw = np.array([found[place].p for place in tested], dtype=np.float64)
    corrected = dict(zip(tested, holm(raw).tolist(), strict=True))
    return [
        one.model_copy(update={"p_holm": corrected.get(place)}) for place, one in enumerate(found)
    ]


def bundled() -> Path:
    """File of the differences that come with the suite."""
    return Path(__file__).parent / "measured.json"


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


def as_json(measured: AuditResults) -> str:
    """Differences as text for a file."""
    return json.dumps(json.loads(measured.model_dump_json()), indent=1) + "\n"
