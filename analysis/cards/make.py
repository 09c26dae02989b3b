"""A card from finished sweeps."""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.cards.card import Body, Card, CardSource, LeftOut, Result, Score, sealed
from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.runs.origin.beginning import now
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.names import printable

KEYS = ["image_id", "sent_id", "seed", "method", "budget"]
PIXELS = ["inter_px", "union_px", "pred_px", "target_px"]


class Split(NamedTuple):
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
    scores = split.run.table("scores").replace({math.nan: None}).to_dict("records")
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
            Score.model_validate({name: line[name] for name in Score.model_fields})
            for line in scores
        ),
        left_out=tuple(
            LeftOut(
                method=entry.method,
                budget=entry.budget,
                reason=" ".join(printable(entry.reason).split())[:300],
            )
            for entry in record.excluded
        ),
    )


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
        if name == "method":
            digest.update("\0".join(map(str, values)).encode())
        else:
            digest.update(values.astype(np.int64).tobytes())
    return digest.hexdigest()
