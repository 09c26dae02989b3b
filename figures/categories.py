"""A value in each category of referents, for the figures of several studies."""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest

ENDS = 12
"""Categories that a panel shows at either end; those between them are left out."""
FEWEST = 5
"""Expressions that a category must have to be shown."""


class ExcludedCounts(NamedTuple):
    """Categories that a panel does not show.

    Attributes:
        few: With fewer than ``FEWEST`` expressions.
        between: Between those at either end.
    """

    few: int
    between: int


def shown_categories(
    table: pd.DataFrame, value: str = "mean"
) -> tuple[pd.DataFrame, ExcludedCounts]:
    """Lines of the categories that fit on a page, largest value first, and how many are left out.

    Categories with fewer than ``FEWEST`` expressions are left out, unless no other is there.

    Args:
        table: Lines of one claim in the summary's table "categories".
        value: Column that orders them.
    """
    enough = table[table["n"] >= FEWEST]
    ordered = (enough if len(enough) else table).sort_values(
        value, ascending=False, ignore_index=True
    )
    few, between = len(table) - len(ordered), max(0, len(ordered) - 2 * ENDS)
    if between:
        ordered = pd.concat([ordered.head(ENDS), ordered.tail(ENDS)], ignore_index=True)
    return ordered, ExcludedCounts(few, between)


def draw_categories(table: pd.DataFrame, value: str, ax: Axes) -> Axes:
    """Mean value in each category of referents, with intervals over images.

    Args:
        table: Lines of the summary's table "categories": category, low, high, n, and the value.
        value: Column of the dots.
        ax: Where to draw; the first line on top, with its number of expressions.
    """
    names = [f"{c} ({n})" for c, n in zip(table["category"], table["n"], strict=True)]
    forest(ax, table, value, names, [style.colour("litelvlm")] * len(table))
    return ax


def excluded_text(n: ExcludedCounts) -> str:
    """What a panel says of the categories that it does not show.

    Example:
        >>> excluded_text(ExcludedCounts(0, 0)), excluded_text(ExcludedCounts(30, 0))
        ('every category', 'categories of 5 expressions or more, 30 others left out')
        >>> excluded_text(ExcludedCounts(0, 4))
        'the 12 categories at either end, 4 between them left out'
    """
    parts = {
        f"categories of {FEWEST} expressions or more, {n.few} others left out": n.few,
        f"the {ENDS} categories at either end, {n.between} between them left out": n.between,
    }
    return "; ".join(text for text, count in parts.items() if count) or "every category"
