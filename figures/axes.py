"""Marks and axes that several figures share."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from litelvlm.figures import style

WIDER = "thin: the wider interval over images and categories"
"""What notes say of the thin lines."""
READINGS = "filled: the released code; hollow: the paper's own rule"
"""What notes say of dots where both readings of the method are judged."""


def budget_axis(ax: Axes, budgets: "pd.Series[int]") -> None:
    """A logarithmic axis of token budgets with a tick at each."""
    ticks = sorted({int(budget) for budget in budgets})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("visual tokens kept")


def band(
    ax: Axes, line: pd.DataFrame, x: str, y: str, method: str, label: str, linestyle: str = "-"
) -> None:
    """One line over its interval, in the colour and with the marker of a method.

    Args:
        ax: Where to draw.
        line: Columns x, y, low and high.
        x: Column of the horizontal axis.
        y: Column of the value.
        method: Whose colour and marker to use.
        label: In the legend.
        linestyle: As in matplotlib.
    """
    line = line.sort_values(x)
    colour = style.colour(method)
    ax.plot(
        line[x],
        line[y],
        color=colour,
        marker=style.mark(method),
        markersize=4.5,
        linestyle=linestyle,
        label=label,
    )
    ax.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)


def heatmap(
    ax: Axes,
    wide: pd.DataFrame,
    bar: str,
    *,
    centre: float,
    ends: tuple[float, float] | None = None,
    texts: pd.DataFrame | None = None,
    square: bool = False,
) -> None:
    """Coloured cells, blue below the centre and red above it.

    Args:
        ax: Where to draw.
        wide: Values of the cells.
        bar: Words beside the colour bar; empty for no bar.
        centre: Value of white.
        ends: Values of the deepest colours; those of the table if left out.
        texts: What stands in the cells.
        square: Whether cells are squares.
    """
    low, high = ends or (None, None)
    sns.heatmap(
        wide,
        annot=texts,
        fmt="",
        annot_kws={"size": 7},
        cmap="vlag",
        center=centre,
        vmin=low,
        vmax=high,
        linewidths=0.5 if texts is not None else 0,
        square=square,
        cbar=bool(bar),
        cbar_kws={"label": bar} if bar else None,
        ax=ax,
    )


def lines_of(table: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The lines of a table by the names in a column, in order of first appearance."""
    for name in map(str, table[column].unique()):
        yield name, table[table[column] == name]


def forest(
    ax: Axes,
    table: pd.DataFrame,
    value: str,
    names: list[str],
    colours: list[str],
    null: float,
    filled: Sequence[bool] | None = None,
) -> None:
    """One dot with its interval per line of a table, the first on top; a line marks the null.

    Args:
        ax: Where to draw.
        table: Columns value, low and high.
        value: Column of the dots. Where the table also has low_categories and high_categories, a
            thin line shows this wider interval.
        names: Labels of the lines.
        colours: Colours of the lines.
        null: Value without an effect.
        filled: Which dots are filled; all if left out.
    """
    places = np.arange(len(table))
    faces = (
        colours
        if filled is None
        else [c if full else "white" for c, full in zip(colours, filled, strict=True)]
    )
    ax.hlines(places, table["low"], table["high"], colors=colours, linewidth=1.4)
    if "low_categories" in table:
        ends = table["low_categories"], table["high_categories"]
        ax.hlines(places, *ends, colors=colours, linewidth=0.6)
    ax.scatter(table[value], places, c=faces, edgecolors=colours, linewidths=1.0, s=18, zorder=3)
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.axvline(null, color=style.MUTED, linewidth=0.8, zorder=0)
