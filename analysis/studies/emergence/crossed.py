"""Reversal by cell over trainings and categories: the widest interval that applies to a cell."""

from typing import Literal

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.crossed_trainings import (
    CrossedTrainings,
    crossed_coefficients,
    crossed_trainings,
)
from litelvlm.analysis.studies.emergence.effects import balanced
from litelvlm.analysis.studies.emergence.outcomes import category_rows, category_table
from litelvlm.embedded.family.design import FRACTIONS

FEWEST_REFERENTS = 3
"""Referents below which a category of one training is left out."""


def by_category(
    rows: pd.DataFrame,
    outcomes: pd.DataFrame,
    stage: str,
    cell: str,
    column: Literal["reversal", "reversal_true"] = "reversal",
) -> pd.DataFrame:
    """Reversal that follows the text (true minus absent), one line for each training that learned.

    With "reversal_true" the index of the true text instead.

    Returns:
        Seeds by categories: those categories that have enough referents in every training.
    """
    own = outcomes[(outcomes["stage"] == stage) & (outcomes["cell"] == cell) & outcomes["learned"]]
    final = rows[rows["final"] & rows["training"].isin(own["training"])]
    lines = {int(str(seed)): _differences(part)[column] for seed, part in final.groupby("seed")}
    return pd.DataFrame(lines).T.dropna(axis=1)


def _differences(part: pd.DataFrame) -> pd.DataFrame:
    """Index of the true text and its difference from absent ones, by category of one training."""
    table = category_table(part)
    table = table[table["n"] >= FEWEST_REFERENTS]
    return pd.DataFrame(
        {"reversal": table["true"] - table["absent"], "reversal_true": table["true"]}
    )


def stage_by_category(rows: pd.DataFrame, table: pd.DataFrame) -> list[pd.DataFrame]:
    """Reversal that follows the text of some trainings, in groups that read the same categories.

    Args:
        rows: Of the study.
        table: Lines of ``outcome_table``.

    Returns:
        Trainings by categories, one table for each group; none if a training has fewer than two
        categories with enough referents.
    """
    final = category_rows(rows[rows["final"] & rows["training"].isin(table["training"])])
    groups: dict[tuple[str, ...], dict[str, pd.Series[float]]] = {}
    for name, part in final.groupby("training"):
        found = _differences(part)["reversal"].dropna()
        groups.setdefault(tuple(found.index), {})[str(name)] = found
    covered = sum(len(lines) for lines in groups.values()) == len(table)
    if not covered or min((len(names) for names in groups), default=0) < 2:
        return []
    return [pd.DataFrame(lines).T for lines in groups.values()]


def crossed_effects(rows: pd.DataFrame, table: pd.DataFrame, stage: str) -> dict[str, Estimate]:
    """Effects of a fractional stage on the reversal, over its trainings and their categories.

    Each training weighs its categories alike. All trainings of complete blocks count.

    Args:
        rows: Of the study.
        table: Of ``outcome_table``.
        stage: "A" or "B".

    Returns:
        By factor; empty without a complete block, or without categories.
    """
    factors, chosen = FRACTIONS[stage], balanced(table, stage, "reversal")
    groups = [] if chosen is None else stage_by_category(rows, chosen[0])
    if chosen is None or not groups:
        return {}
    names = [name for group in groups for name in group.index]
    own = chosen[0].set_index("training").loc[names]
    high = np.column_stack([own[name] == levels[1] for name, levels in factors.items()])
    blocks = own["seed"].to_numpy()[:, None] == np.unique(own["seed"])
    design = np.column_stack([high, blocks]).astype(np.float64)
    found = crossed_coefficients([group.to_numpy(dtype=np.float64) for group in groups], design)
    return {name: each.estimate() for name, each in zip(factors, found, strict=False)}


def crossed_stage_mean(rows: pd.DataFrame, table: pd.DataFrame) -> CrossedTrainings | None:
    """Mean reversal of some trainings over them and their categories; None without categories.

    Args:
        rows: Of the study.
        table: Lines of ``outcome_table``.
    """
    groups = stage_by_category(rows, table) if len(table) > 1 else []
    if not groups:
        return None
    values = [group.to_numpy(dtype=np.float64) for group in groups]
    return crossed_coefficients(values, np.ones((len(table), 1)))[0]


def crossed_mean_of(table: pd.DataFrame) -> CrossedTrainings | None:
    """Mean of a table of seeds by categories; None with a single one of either."""
    if min(table.shape, default=0) < 2:
        return None
    return crossed_trainings(table.to_numpy(dtype=np.float64))


def crossed_table(rows: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Reversal that follows the text in each cell, over trainings and categories.

    A mean here weighs every category alike; that of the table "cells" weighs every referent alike.

    Args:
        rows: Of the study.
        outcomes: Of ``outcome_table``.

    Returns:
        stage, cell, mean, low, high, n (trainings), n_images (the same), n_categories; difference,
        difference_low and difference_high from the base of the stage, paired by seed and category,
        nan where there is none. Cells with one training or category are left out.
    """
    lines: list[Row] = []
    rows = category_rows(rows)
    bases = {stage: by_category(rows, outcomes, stage, "base") for stage in set(outcomes["stage"])}
    pairs = outcomes[["stage", "cell"]].drop_duplicates().sort_values(["stage", "cell"])
    for stage, cell in pairs.itertuples(index=False):
        table = by_category(rows, outcomes, stage, cell)
        found = crossed_mean_of(table)
        if found is None:
            continue
        line: Row = {"stage": stage, "cell": cell}
        line |= found.estimate().line("mean") | {"n_categories": found.n_categories}
        base = bases[stage]
        change = None
        if cell != "base" and len(base):
            change = crossed_mean_of((table - base).dropna(how="all").dropna(axis=1))
        lines.append(line | _difference(change))
    return pd.DataFrame(lines)


def _difference(change: CrossedTrainings | None) -> Row:
    if change is None:
        return dict.fromkeys(("difference", "difference_low", "difference_high"), np.nan)
    found = change.estimate()
    return {
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
    }
