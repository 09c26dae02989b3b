"""Reversal by cell over trainings and categories: the widest interval that applies to a cell."""

import numpy as np
import pandas as pd

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.stats.crossed_trainings import CrossedTrainings, crossed_trainings
from litelvlm.analysis.studies.emergence.outcomes import category_rows, category_table

FEWEST_REFERENTS = 3
"""Referents below which a category of one training is left out."""


def by_category(rows: pd.DataFrame, outcomes: pd.DataFrame, stage: str, cell: str) -> pd.DataFrame:
    """Reversal that follows the text (true minus absent), one line for each training that learned.

    Returns:
        Seeds by categories: those categories that have enough referents in every training.
    """
    own = outcomes[(outcomes["stage"] == stage) & (outcomes["cell"] == cell) & outcomes["learned"]]
    final = rows[rows["final"] & rows["training"].isin(own["training"])]
    lines = {}
    for seed, part in final.groupby("seed"):
        table = category_table(part)
        table = table[table["n"] >= FEWEST_REFERENTS]
        lines[int(str(seed))] = table["true"] - table["absent"]
    return pd.DataFrame(lines).T.dropna(axis=1)


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
