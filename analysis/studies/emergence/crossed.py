"""Reversal by cell over trainings and categories: the widest interval that applies to a cell."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.crossed_trainings import (
    CrossedTrainings,
    crossed_coefficients,
    crossed_trainings,
)
from litelvlm.analysis.stats.ends import DIFFERENCE, Ends
from litelvlm.analysis.studies.emergence.config import FEWEST_REFERENTS
from litelvlm.analysis.studies.emergence.effects import balanced
from litelvlm.analysis.studies.emergence.outcomes import category_table
from litelvlm.arrays import NDArray
from litelvlm.training.trainings.design import FRACTIONS

Reversal = Literal["reversal", "reversal_true"]
"""Of a category: the index of the true text minus that of absent ones, or the index itself."""
ByCategory = Mapping[Reversal, pd.DataFrame]
"""Tables of trainings by categories; nan where a training has too few referents."""
CHANGE_OF_REVERSAL: Ends = (-4.0, 4.0)
"""Where changes of a reversal end, which is itself a difference of two indices."""


def reversal_by_category(rows: pd.DataFrame) -> ByCategory:
    """Both reversals of every training that has categories, at its end.

    Args:
        rows: Of the study.
    """
    table = category_table(rows)
    table = table.where(table["n"] >= FEWEST_REFERENTS)
    difference = table["true"] - table["absent"]
    return {
        "reversal": difference.unstack("category"),
        "reversal_true": table["true"].unstack("category"),
    }


def by_category(
    reversals: ByCategory,
    outcomes: pd.DataFrame,
    stage: str,
    cell: str,
    column: Reversal = "reversal",
) -> pd.DataFrame:
    """A reversal in one cell, one line for each training that learned.

    Args:
        reversals: Of ``reversal_by_category``.
        outcomes: Of ``outcome_table``.
        stage: Of the cell.
        cell: Its name.
        column: Which reversal.

    Returns:
        Seeds by categories: those categories that have enough referents in every training.
    """
    table = reversals[column]
    own = outcomes[(outcomes["stage"] == stage) & (outcomes["cell"] == cell) & outcomes["learned"]]
    own = own[own["training"].isin(table.index)]
    return table.loc[own["training"]].set_axis(own["seed"]).sort_index().dropna(axis=1)


def stage_by_category(reversals: ByCategory, trainings: "pd.Series[str]") -> list[pd.DataFrame]:
    """Reversal that follows the text of some trainings, in groups that read the same categories.

    Args:
        reversals: Of ``reversal_by_category``.
        trainings: Names.

    Returns:
        Trainings by categories, one table for each group; none if a training has fewer than two
        categories with enough referents.
    """
    table = reversals["reversal"]
    if not trainings.isin(table.index).all():
        return []
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, line in table.loc[sorted(trainings)].iterrows():
        groups.setdefault(tuple(line.dropna().index), []).append(str(name))
    if min((len(names) for names in groups), default=0) < 2:
        return []
    return [table.loc[names, list(categories)] for categories, names in groups.items()]


def crossed_effects(reversals: ByCategory, table: pd.DataFrame, stage: str) -> dict[str, Estimate]:
    """Effects of a fractional stage on the reversal, over its trainings and their categories.

    Each training weighs its categories alike. All trainings of complete blocks count.

    Args:
        reversals: Of ``reversal_by_category``.
        table: Of ``outcome_table``.
        stage: "A" or "B".

    Returns:
        By factor; empty without a complete block, or without categories.
    """
    factors, chosen = FRACTIONS[stage], balanced(table, stage, "reversal")
    groups = [] if chosen is None else stage_by_category(reversals, chosen[0]["training"])
    if chosen is None or not groups:
        return {}
    own = chosen[0].set_index("training").loc[[name for group in groups for name in group.index]]
    high = np.column_stack([own[name] == levels[1] for name, levels in factors.items()])
    blocks = own["seed"].to_numpy()[:, None] == np.unique(own["seed"])
    design = np.column_stack([high, blocks]).astype(np.float64)
    found = _coefficients(groups, design, CHANGE_OF_REVERSAL)
    return {name: each.estimate() for name, each in zip(factors, found, strict=False)}


def _coefficients(
    groups: Sequence[pd.DataFrame], design: Float[NDArray[np.float64], "n k"], reach: Ends
) -> list[CrossedTrainings]:
    tables = [group.to_numpy(dtype=np.float64) for group in groups]
    return crossed_coefficients(tables, design, reach)


def crossed_stage_mean(
    reversals: ByCategory, trainings: "pd.Series[str]"
) -> CrossedTrainings | None:
    """Mean reversal of some trainings over them and their categories; None without categories.

    Args:
        reversals: Of ``reversal_by_category``.
        trainings: Names.
    """
    groups = stage_by_category(reversals, trainings) if len(trainings) > 1 else []
    return _coefficients(groups, np.ones((len(trainings), 1)), DIFFERENCE)[0] if groups else None


def crossed_mean_of(table: pd.DataFrame, reach: Ends = DIFFERENCE) -> CrossedTrainings | None:
    """Mean of a table of seeds by categories; None with a single one of either."""
    if min(table.shape, default=0) < 2:
        return None
    return crossed_trainings(table.to_numpy(dtype=np.float64), reach)
