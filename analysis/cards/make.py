"""A card from finished sweeps."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from litelvlm.analysis.cards.card import Body, Card, CardSource, LeftOut, Result, Score, sealed
from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.runs.origin.beginning import now
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.names import printable

KEYS = ["image_id", "sent_id", "seed", "method", "budget"]
PIXELS = ["inter_px", "union_px", "pred_px", "target_px"]


@dataclass(frozen=True)
class Split:
    """One split of a card.

    Attributes:
        run: Its finished sweep.
        n_whole: Images of the whole split.
        note: What differs from the published split.
    """

    run: SavedRun
    n_whole: int
    note: str


def make_card(
    table: str, splits: Sequence[Split], by: str = "", sources: Sequence[tuple[str, str]] = ()
) -> Card:
    """The card of some finished sweeps of one model.

    Args:
        table: What was reproduced.
        splits: Sweeps, one per split.
        by: Who measured, in their own words.
        sources: Hub ids and their commits.

    Raises:
        ValueError: If there is no sweep, one is not complete or no sweep, they are of different
            models, or a field is out of bounds.
    """
    records = [split.run.record for split in splits]
    if not records:
        raise ValueError("a card needs at least one finished sweep")
    for record in records:
        if record.study != "sweep" or not record.complete:
            raise ValueError(
                f"a card is made of complete sweeps; this is a run of {record.study!r} with "
                f"{record.parts_done} of {record.n_parts} parts"
            )
        if record.model != records[0].model:
            raise ValueError("a card is about one model; make a card of each")
    first = records[0]
    return sealed(
        Body(
            form=1,
            table=table,
            by=printable(by),
            made=now(),
            commit=first.commit,
            dirty=first.dirty,
            versions=first.versions,
            python=first.python,
            platform=first.platform,
            machine={name: str(value) for name, value in first.machine.items()},
            model=first.model,
            sources=tuple(CardSource(name=name, commit=commit) for name, commit in sources),
            results=tuple(_result(split) for split in splits),
        )
    )


def _result(split: Split) -> Result:
    record, rows = split.run.record, split.run.rows
    return Result(
        data=record.data,
        n_images=int(rows["image_id"].nunique()),
        n_whole=split.n_whole,
        note=split.note[:300],
        protocol=record.protocol,
        draws=int(rows["seed"].nunique()),
        n_tokens=int(rows.loc[rows["method"] == UNPRUNED, "budget"].iloc[0]),
        key=record.key,
        rows=rows_digest(rows),
        failed=record.counts.failed,
        scores=tuple(
            _score({str(name): value for name, value in line.items()})
            for line in split.run.table("scores").to_dict("records")
        ),
        left_out=tuple(
            LeftOut(method=entry.method, budget=entry.budget, reason=_one_line(entry.reason))
            for entry in record.excluded
        ),
    )


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())[:300]


def _score(line: Mapping[str, object]) -> Score:
    names = ("method", "budget", "metric", "value", "n")
    ends = {name: line[name] for name in ("low", "high")}
    finite = {name: end if math.isfinite(float(str(end))) else None for name, end in ends.items()}
    return Score.model_validate({name: line[name] for name in names} | finite)


def rows_digest(rows: pd.DataFrame) -> str:
    """sha256 over the pixel counts of a sweep, whatever the order of its rows.

    Example:
        >>> rows = pd.DataFrame({name: [1, 2] for name in (*KEYS, *PIXELS)})
        >>> rows_digest(rows) == rows_digest(rows[::-1])
        True
    """
    columns = rows[[*KEYS, *PIXELS]].sort_values(KEYS, kind="stable")
    digest = hashlib.sha256()
    for name in columns:
        values = columns[name].to_numpy()
        plain = values.astype(np.int64).tobytes() if name != "method" else None
        digest.update(plain if plain is not None else "\0".join(map(str, values)).encode())
    return digest.hexdigest()
