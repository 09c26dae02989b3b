"""Units that need several answers: MME's pairs and MMBench's orders of options."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

_UNITS = {"mme": ["group", "image_id", "draw"], "circular": ["base", "draw"]}
_NAMES = {
    "mme": "pairs of questions about an image do not have exactly two answers",
    "circular": "questions lack the answer to one of their orders",
}


@dataclass(frozen=True)
class Incomplete:
    """Units of one condition that are left out of its scores.

    Attributes:
        method: Label of the method.
        budget: Its budget; None for all tokens.
        units: How many are left out.
        total: How many there are.
        first: Name of the first.
    """

    method: str
    budget: float | None
    units: int
    total: int
    first: str


def complete_answers(
    rows: pd.DataFrame, rule: str, whole: pd.DataFrame
) -> tuple[pd.DataFrame, Incomplete | None]:
    """Answers of one condition that belong to complete units, and what was left out.

    A failed row is no answer. Rules without such units keep every answer.

    Args:
        rows: Rows of one condition.
        rule: How answers are scored.
        whole: Rows of all conditions, which say how many orders a question has.
    """
    answered = rows[rows["state"] != "failed"]
    unit = _UNITS.get(rule)
    if unit is None:
        return answered, None
    sizes = answered.groupby(unit)["question_id"].nunique()
    every = pd.MultiIndex.from_frame(rows[unit].drop_duplicates())
    sizes = sizes.reindex(every, fill_value=0)
    if rule == "mme":
        complete = sizes == 2
    else:
        orders = whole.groupby("base")["question_id"].nunique()
        complete = sizes == orders.reindex(every.get_level_values("base")).to_numpy()
    lost = every[~complete.to_numpy()]
    if not len(lost):
        return answered, None
    places = pd.MultiIndex.from_frame(answered[unit])
    budget = rows["budget"].iloc[0]
    found = Incomplete(
        str(rows["method"].iloc[0]),
        None if pd.isna(budget) else float(budget),
        len(lost),
        len(every),
        str(lost[0][unit.index("image_id" if rule == "mme" else "base")]),
    )
    return answered[~places.isin(lost)], found


def incomplete_notes(rule: str, found: Sequence[Incomplete]) -> list[str]:
    """One sentence per condition: what its scores leave out."""
    return [
        f"{one.units} of {one.total} {_NAMES[rule]} under {one.method}"
        f"{'' if one.budget is None else f' {one.budget:g}'} and are left out; the first is "
        f"{one.first}"
        for one in found
    ]
