"""What LiteLVLM gains in each training, and which outcomes of trainings go together."""

from typing import Literal

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.trainings import Association, association

Level = Literal["stages", "within", "between"]
LINKS = (
    ("sink", "reversal"),
    ("sink", "reversal_true"),
    ("alignment", "reversal"),
    ("alignment", "reversal_true"),
    ("reversal_true", "gain"),
    ("reversal", "gain"),
)
"""Pairs of outcomes."""
SELECTIONS = ("all", "class token, no helper")
"""Which trainings: all that count, or those whose tokens are not trained on the text."""
FEWEST = 5
"""Trainings or cells below which no correlation is given."""
RULES = ("lowest", "highest", "random", "oracle")
LATER_RULES = ("value", "grid", "value_foreign", "lowest_foreign")
"""What chose the tokens of a reader; the first readers were not asked for the later ones."""
_WITHOUT_RULE = {"without": "none", "unpruned": "all"}


def gains_table(rows: pd.DataFrame, outcomes: pd.DataFrame, reader_gate: float) -> pd.DataFrame:
    """One line for each training with a reader.

    Args:
        rows: Of the study.
        outcomes: Of ``outcome_table``.
        reader_gate: Least IoU by which the reader with all tokens must beat the best mask without.

    Returns:
        The training's tags and factors; "learned"; "repeated"; "index": reversal index of the true
        text at the layer that GLaMM reads; "reversal": the same minus absent ones; "without": mean
        IoU of the best mask without tokens; "unpruned": with all tokens; "works": whether the
        reader passes its gate; for each rule and budget, such as "lowest_0.25": mean IoU;
        "gain_0.25": that of "lowest" minus that of "random"; "gain": its mean over budgets;
        "gain_highest" and one for each of ``LATER_RULES``: the same for these, the latter nan where
        they were not measured; "kept" and "kept_random": share of the object's
        tokens that "lowest" and "random" keep, mean over budgets. "lowest" is LiteLVLM's rule,
        "oracle" takes the object's tokens first.
    """
    if "budget" not in rows or outcomes.empty:
        return pd.DataFrame()
    measured = rows[rows["final"] & rows["measure"].isin(["iou", "kept"])]
    lines = [
        {"training": name} | _line(part) for name, part in measured.groupby("training", sort=True)
    ]
    if not lines:
        return pd.DataFrame()
    factors = outcomes.columns[: list(outcomes.columns).index("sink")].drop("step")
    known = outcomes[[*factors, "learned", "repeated", "reversal_true", "reversal"]]
    found = known.rename(columns={"reversal_true": "index"}).merge(pd.DataFrame(lines))
    works = found["unpruned"] - found["without"] >= reader_gate
    return found.assign(works=works)


def counted_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of ``gains_table`` that count: tower learned, reader works, each training once."""
    return table[table["learned"] & table["works"] & ~table["repeated"]]


def _line(part: pd.DataFrame) -> Row:
    """IoUs and gains of one training, from its rows."""
    values = {
        (str(measure), str(text)): own.set_index("budget")["value"].sort_index(ascending=False)
        for (measure, text), own in part.groupby(["measure", "text"])
    }
    measured = {rule: own for (measure, rule), own in values.items() if measure == "iou"}
    ious = {rule: measured[rule] for rule in (*RULES, *LATER_RULES) if rule in measured}
    gains = {rule: (of_rule - ious["random"]).mean() for rule, of_rule in ious.items()}
    line: Row = {name: values["iou", text].iloc[0] for name, text in _WITHOUT_RULE.items()}
    for name, every in (*ious.items(), ("gain", ious["lowest"] - ious["random"])):
        line |= {f"{name}_{budget:g}": value for budget, value in every.items()}
    return line | {
        "gain": gains["lowest"],
        "gain_highest": gains["highest"],
        **{f"gain_{rule}": gains.get(rule, np.nan) for rule in LATER_RULES},
        "kept": values["kept", "lowest"].mean(),
        "kept_random": values["kept", "random"].mean(),
    }


def natural_trainings(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Trainings that learned, each once, without those that were made to have a sink.

    Args:
        outcomes: Of ``outcome_table``.
    """
    counted = outcomes[outcomes["learned"] & ~outcomes["repeated"] & (outcomes["sos_loss"] == 0)]
    return counted.dropna(subset=["sink", "reversal"])


def condition_of(table: pd.DataFrame) -> "pd.Series[int]":
    """Number of each training's condition: all its factors, whatever stage it belongs to.

    Args:
        table: Of ``outcome_table``, whose factors stand between the step and the outcomes.
    """
    names = list(table.columns)
    factors = names[names.index("step") + 1 : names.index("sink")]
    return table.groupby(factors).ngroup()


def link(table: pd.DataFrame, first: str, second: str, level: Level) -> Association | None:
    """Correlation of two outcomes.

    Trainings of one condition are no independent witnesses of what a condition does. What they say
    of the seed is told apart from what the conditions say.

    Args:
        table: Of ``outcome_table``, with both outcomes.
        first: Column.
        second: Column.
        level: "stages": trainings without the mean of their stage, as if all were independent.
            "within": trainings without the mean of their condition; those that are alone in it are
            left out. "between": means of the conditions without the mean of their stage.

    Returns:
        None with fewer than ``FEWEST`` trainings or conditions, or where an outcome does not vary.
    """
    known = table.dropna(subset=[first, second])
    known = known.assign(condition=condition_of(known))
    if level == "between":
        known = known.groupby("condition").agg({"stage": "first", first: "mean", second: "mean"})
    if level == "within":
        known = known[known.groupby("condition")["stage"].transform("size") > 1]
    groups = known["condition" if level == "within" else "stage"]
    spread = known[[first, second]].groupby(groups).std()
    if len(known) < FEWEST or not (spread.max() > 0).all():
        return None
    found = association(
        known[first].to_numpy(dtype=np.float64),
        known[second].to_numpy(dtype=np.float64),
        groups.to_numpy(),
    )
    if level != "between":
        return found
    named = found.estimate.method.replace("trainings", "cells")
    return found._replace(estimate=found.estimate._replace(method=named))


def with_gains(outcomes: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    """Trainings whose reader counts, each once, with their "gain".

    Args:
        outcomes: Of ``outcome_table``.
        gains: Of ``gains_table``.
    """
    if gains.empty:
        return outcomes.iloc[:0].assign(gain=np.nan)
    return outcomes.merge(counted_gains(gains)[["training", "gain"]], on="training")


def links_table(outcomes: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    """Every pair of ``LINKS`` at every level.

    Args:
        outcomes: Of ``outcome_table``.
        gains: Of ``gains_table``.

    Returns:
        first, second, trainings (of ``SELECTIONS``), level, correlation, low, high, p (permutation
        within groups), n and n_images (trainings, or cells of the level "between").
    """
    natural, read = natural_trainings(outcomes), with_gains(outcomes, gains)
    lines: list[Row] = []
    for first, second in LINKS:
        table = read if second == "gain" else natural
        free = (table["pooling"] == "cls") & (table["helper"] == 0)
        for selection, part in zip(SELECTIONS, (table, table[free]), strict=True):
            levels: tuple[Level, ...] = ("stages", "within", "between")
            for level in levels:
                found = link(part, first, second, level) if len(part) else None
                if found is None:
                    continue
                line: Row = {"first": first, "second": second, "trainings": selection}
                line |= {"level": level} | found.estimate.line("correlation")
                lines.append(line | {"p": found.p_value})
    return pd.DataFrame(lines)
