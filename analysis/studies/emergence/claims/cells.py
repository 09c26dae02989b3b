"""A claim about every condition that is changed alone: what it does to reversal and sink."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.stats.trainings import t_estimate, t_p_value
from litelvlm.analysis.studies.emergence.claims.trainings import MIN_TRAININGS, training_claim
from litelvlm.analysis.studies.emergence.crossed import (
    ByCategory,
    Reversal,
    by_category,
    crossed_mean_of,
)
from litelvlm.analysis.studies.emergence.rows import Config
from litelvlm.training.trainings.design import ALONE, LOOKED_TWICE
from litelvlm.training.trainings.factors import Factors

Changed = Reversal | Literal["sink"]
CHANGED: Mapping[Changed, str] = {
    "reversal": "the reversal that follows the text",
    "reversal_true": "the reversal index of the true text",
    "sink": "the sink of the text tower",
}
"""Outcomes that each condition has a claim about."""


class _Change(NamedTuple):
    stage: str
    outcome: Changed
    cell: str
    words: str
    estimate: Estimate
    crossed: Estimate | None
    p_value: float
    not_learned: int


def cell_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """One exploratory two-sided claim for each condition and outcome: "STAGE.OUTCOME.CELL".

    A change is a training minus the base with the same seed. Its p-value is that of a t test,
    adjusted over all these claims (Benjamini-Hochberg). Trainings that did not learn count for the
    sink only. Changes of the reversal also have an interval over trainings and categories; the
    wider decides. With fewer than ``MIN_TRAININGS`` trainings a claim is undetermined, however
    clear its interval.

    Args:
        reversals: Of ``reversal_by_category``.
        table: Of ``outcome_table``.
        config: Gives margins.
    """
    changes = [
        change
        for stage in ALONE
        for outcome in CHANGED
        for change in _changes(reversals, table[table["stage"] == stage], outcome)
    ]
    known = [change for change in changes if np.isfinite(change.p_value)]
    q_values = benjamini_hochberg(np.array([change.p_value for change in known]))
    return [
        training_claim(
            f"{change.stage}.{change.outcome}.{change.cell}",
            f"Stage {change.stage}: {CHANGED[change.outcome]} changes with {change.words} "
            "(exploratory; the p-value is adjusted over all such claims).",
            change.estimate,
            "the base with the same seed",
            p_value=float(q_value),
            margin=config.sink_margin if change.outcome == "sink" else config.margin,
            two_sided=True,
            excluded={"did not learn to find categories": change.not_learned},
            two_looks=change.cell in LOOKED_TWICE,
            crossed=change.crossed,
        )
        for change, q_value in zip(known, q_values, strict=True)
    ]


def _changes(reversals: ByCategory, part: pd.DataFrame, outcome: Changed) -> list[_Change]:
    """Changes of one outcome in every cell of a stage that has two trainings to pair."""
    base = part[part["cell"] == "base"].set_index("seed")
    found = []
    for cell, own in part[part["cell"] != "base"].groupby("cell"):
        own = own.set_index("seed")
        own = own[own.index.isin(base.index)]
        other = base.loc[own.index]
        counts = np.ones(len(own), dtype=bool)
        if outcome != "sink":
            counts = (own["learned"] & other["learned"]).to_numpy()
        change = (own[outcome] - other[outcome])[counts].dropna().to_numpy(dtype=np.float64)
        if len(change) > 1:
            found.append(
                _Change(
                    str(part["stage"].iloc[0]),
                    outcome,
                    str(cell),
                    _in_words(own, other),
                    t_estimate(change),
                    _crossed(reversals, part, str(cell), outcome),
                    t_p_value(change),
                    int((~counts).sum()),
                )
            )
    return found


def _in_words(own: pd.DataFrame, other: pd.DataFrame) -> str:
    """The factors that differ, such as "helper 1.0 instead of 0.0"."""
    names = [field.name for field in fields(Factors)]
    return " and ".join(
        f"{name.replace('_', ' ')} {own[name].iloc[0]} instead of {other[name].iloc[0]}"
        for name in names
        if own[name].iloc[0] != other[name].iloc[0]
    )


def _crossed(
    reversals: ByCategory, part: pd.DataFrame, cell: str, outcome: Changed
) -> Estimate | None:
    """The change over trainings and categories; None for the sink, which has no categories."""
    if outcome == "sink":
        return None
    stage = str(part["stage"].iloc[0])
    own, base = (by_category(reversals, part, stage, name, outcome) for name in (cell, "base"))
    change = crossed_mean_of((own - base).dropna(how="all").dropna(axis=1))
    return None if change is None else change.estimate()


def interpret_cells(claims: Sequence[Claim]) -> str:
    """How many of these claims are supported, and what keeps the others open."""
    own = [claim for claim in claims if is_cell_claim(claim)]
    if not own:
        return ""
    few = sum(claim.n < MIN_TRAININGS for claim in own)
    known = [claim.id for claim in own if claim.verdict == "supported"]
    named = f" ({', '.join(known)})" if known else ""
    return (
        f"Of {len(own)} exploratory claims about a changed condition {len(known)} are supported"
        f"{named}; {few} rest on fewer than {MIN_TRAININGS} trainings and stay undetermined."
    )


def is_cell_claim(claim: Claim) -> bool:
    """Whether a claim is about one condition of a stage that compares with a base."""
    return claim.id.split(".")[0] in ALONE
