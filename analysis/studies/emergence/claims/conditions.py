"""Claims about conditions of training: settled effects, the base, and each changed condition."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.over_trainings import (
    NOT_LEARNED,
    Evidence,
    over_both,
    over_trainings,
    training_claim,
)
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.ends import DIFFERENCE, OPEN
from litelvlm.analysis.stats.significance import benjamini_hochberg
from litelvlm.analysis.stats.trainings import t_estimate, t_p_value
from litelvlm.analysis.studies.emergence.config import Config
from litelvlm.analysis.studies.emergence.crossed import (
    CHANGE_OF_REVERSAL,
    ByCategory,
    Reversal,
    by_category,
    crossed_effects,
    crossed_mean_of,
    crossed_stage_mean,
)
from litelvlm.analysis.studies.emergence.effects import complete_blocks, effects_table
from litelvlm.arrays import Array
from litelvlm.training.trainings.design import ALONE, FRACTIONS, LOOKED_TWICE
from litelvlm.training.trainings.factors import Factors

_WORDS = {"sink": "The sink of the text tower", "reversal": "The reversal that follows the text"}
POOLINGS = {"cls": ", class token", "mean": ", mean pooling"}
"""Poolings of a fractional stage, which turn the sign of the reversal, with their words."""
_FACTORS = {
    "uninformative": "captions of which half say nothing",
    "filler": "up to 30 filler words",
    "rate": "a learning rate of 3e-3 instead of 1e-3",
    "text_depth": "a text tower of 8 blocks instead of 4",
    "loss": "the sigmoid loss instead of the softmax",
    "scope": "captions of one object instead of the scene",
    "pooling": "mean pooling instead of the class token",
    "registers": "four registers instead of none",
    "categories": "64 categories instead of 4",
}
Changed = Reversal | Literal["sink"]
CHANGED: Mapping[Changed, str] = {
    "reversal": "the reversal that follows the text",
    "reversal_true": "the reversal index of the true text",
    "sink": "the sink of the text tower",
}
"""Outcomes that each condition has a claim about."""


def margin_of(outcome: str, config: Config) -> float:
    """Changes of an outcome below it count as none."""
    return config.sink_margin if outcome == "sink" else config.margin


def effect_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """One two-sided claim for each settled effect whose blocks are whole; p-values are Holm's.

    Effects on the reversal also have an interval over trainings and categories; the wider decides.
    """
    effects = effects_table(table)
    if effects.empty:
        return []
    found, crossed = [], crossed_effects(reversals, table, "B")
    for line in effects[effects["confirmatory"]].to_dict("records"):
        ends, n = (line["effect"], line["low"], line["high"]), line["n"]
        estimate = Estimate(*ends, n, n, "t over trainings")
        found.append(
            training_claim(
                line["name"],
                f"{_WORDS[line['outcome']]} changes with {_FACTORS[line['factor']]}.",
                Evidence(estimate, line["p_holm"], margin_of(line["outcome"], config)),
                "the condition changes nothing",
                side="either",
                crossed=crossed.get(line["factor"]) if line["outcome"] == "reversal" else None,
            )
        )
    return found


def base_claims(reversals: ByCategory, table: pd.DataFrame, config: Config) -> list[Claim]:
    """Whether trainings that learned have a reversal that follows the text, and a sink.

    Of the fractional stages only whole blocks count, since half a block favours some conditions,
    and the reversal is asked for each pooling, which turns its sign. Of the others only the base
    counts. Intervals of the reversal are over trainings and categories.
    """
    found = []
    for stage in sorted(set(table["stage"])):
        part, fractional = table[table["stage"] == stage], stage in FRACTIONS
        whole = part["seed"].isin(complete_blocks(table, stage))
        part = part[whole if fractional else part["cell"] == "base"]
        for pooling, name in POOLINGS.items() if fractional else (("", ""),):
            chosen = part[part["pooling"] == pooling] if pooling else part
            learned = chosen[chosen["learned"]].dropna(subset=["reversal"])
            blind = chosen["reversal"].notna() & ~chosen["learned"]
            if pooling:
                both = crossed_stage_mean(reversals, learned["training"])
            else:
                both = crossed_mean_of(by_category(reversals, table, stage, "base"))
            if both is None and learned.empty:
                continue
            found.append(
                training_claim(
                    f"base.reversal.{stage}{f'.{pooling}' if pooling else ''}",
                    f"Stage {stage}{name}: the true text is reversed more than absent categories "
                    "are.",
                    over_trainings(
                        learned["reversal"].to_numpy(dtype=np.float64), config.margin, DIFFERENCE
                    )
                    if both is None
                    else over_both(both, config.margin),
                    "any text would do",
                    excluded={NOT_LEARNED: int(blind.sum())},
                    looks=1 if fractional else 2,
                )
            )
        sink = part["sink"].dropna().to_numpy(dtype=np.float64)
        if len(sink):
            found.append(
                training_claim(
                    f"base.sink.{stage}",
                    f"Stage {stage}: [EOS] attends to [SOS] more than uniform attention does.",
                    over_trainings(sink, config.sink_margin),
                    "uniform attention",
                    looks=1 if fractional else 2,
                )
            )
    return found


class _Change(NamedTuple):
    """One outcome of a cell minus that of the base with the same seed."""

    stage: str
    outcome: Changed
    cell: str
    words: str
    values: Array
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
        for change in _changes(table[table["stage"] == stage], outcome)
    ]
    p_values = np.array([t_p_value(change.values) for change in changes])
    known = np.isfinite(p_values)
    changes = [change for change, finite in zip(changes, known, strict=True) if finite]
    return [
        training_claim(
            f"{change.stage}.{change.outcome}.{change.cell}",
            f"Stage {change.stage}: {CHANGED[change.outcome]} changes with {change.words} "
            "(exploratory; the p-value is adjusted over all such claims).",
            Evidence(
                t_estimate(change.values, OPEN if change.outcome == "sink" else CHANGE_OF_REVERSAL),
                float(q),
                margin_of(change.outcome, config),
            ),
            "the base with the same seed",
            side="either",
            excluded={NOT_LEARNED: change.not_learned},
            looks=2 if change.cell in LOOKED_TWICE else 1,
            crossed=_crossed(reversals, table, change),
        )
        for change, q in zip(changes, benjamini_hochberg(p_values[known]), strict=True)
    ]


def _changes(part: pd.DataFrame, outcome: Changed) -> list[_Change]:
    """Changes of one outcome in every cell of a stage that has two trainings to pair."""
    base = part[part["cell"] == "base"].set_index("seed")
    found = []
    for (stage, cell), own in part[part["cell"] != "base"].groupby(["stage", "cell"]):
        own = own[own["seed"].isin(base.index)].set_index("seed")
        other = base.loc[own.index]
        counts = own["learned"] & other["learned"] | (outcome == "sink")
        values = (own[outcome] - other[outcome])[counts].dropna().to_numpy(dtype=np.float64)
        if len(values) > 1:
            words, blind = _in_words(own, other), int((~counts).sum())
            found.append(_Change(str(stage), outcome, str(cell), words, values, blind))
    return found


def _in_words(own: pd.DataFrame, other: pd.DataFrame) -> str:
    """The factors that differ, such as "helper 1.0 instead of 0.0"."""
    names = [field.name for field in fields(Factors)]
    return " and ".join(
        f"{name.replace('_', ' ')} {own[name].iloc[0]} instead of {other[name].iloc[0]}"
        for name in names
        if own[name].iloc[0] != other[name].iloc[0]
    )


def _crossed(reversals: ByCategory, table: pd.DataFrame, change: _Change) -> Estimate | None:
    """The change over trainings and categories; None for the sink, which has no categories."""
    if change.outcome == "sink":
        return None
    own, base = (
        by_category(reversals, table, change.stage, name, change.outcome)
        for name in (change.cell, "base")
    )
    # Paired by seed and category.
    found = crossed_mean_of((own - base).dropna(how="all").dropna(axis=1), CHANGE_OF_REVERSAL)
    return None if found is None else found.estimate()
