"""Marks and axes that several figures share."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes

from litelvlm.arrays import Array
from litelvlm.figures import style

WIDER = "thin: the wider interval over images and categories"
"""What notes say of the thin lines."""
READINGS = "filled: the released code; hollow: the paper's own rule"
"""What notes say of dots where both readings of the method are judged."""
ENDS = 12
"""Categories that a panel shows at either end; those between them are left out."""
FEWEST = 5
"""Expressions that a category must have to be shown."""


def literal(text: str) -> str:
    """A text of the data for matplotlib, which reads what stands between two $ as a formula."""
    return text.replace("$", r"\$")


def budget_axis(ax: Axes, budgets: "pd.Series[int]") -> None:
    """A logarithmic axis of token budgets with a tick at each."""
    ticks = sorted({int(budget) for budget in budgets})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("visual tokens kept")


def legend_beside(ax: Axes, title: str | None = None) -> Axes:
    """Put the legend right of the axes, and return these."""
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), title=title)
    return ax


def in_order(line: pd.DataFrame, x: str, look: style.Look) -> pd.DataFrame:
    """The points of a line from left to right.

    Raises:
        ValueError: If a line joins two points of one budget at one place.
    """
    twice = line[line.duplicated([x, "budget"])] if "budget" in line else line[:0]
    if len(twice) and look.linestyle != "none":
        raise ValueError(
            f"{look.label or 'a line'} has two values at budget {twice['budget'].iloc[0]:g}, "
            "as where tables of several runs are joined; draw each table on axes of its own"
        )
    return line.sort_values(x)


def band(ax: Axes, line: pd.DataFrame, x: str, y: str, look: style.Look) -> None:
    """One line over its interval; nothing where the table is empty.

    Args:
        ax: Where to draw.
        line: Columns x, y, low and high.
        x: Column of the horizontal axis.
        y: Column of the value.
        look: Of the line.

    Raises:
        ValueError: As ``in_order``.
    """
    if line.empty:
        return
    line = in_order(line, x, look)
    colour, marker, dashes, label = look
    ax.plot(
        line[x], line[y], color=colour, marker=marker, markersize=4.5, linestyle=dashes, label=label
    )
    ax.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)


def error_bars(
    ax: Axes,
    line: pd.DataFrame,
    x: str,
    y: str,
    look: style.Look,
    *,
    face: str | None = None,
    ends: tuple[str, str] = ("low", "high"),
) -> None:
    """One line with its interval at each point.

    Args:
        ax: Where to draw.
        line: Columns x, y and the ends.
        x: Column of the horizontal axis.
        y: Column of the value.
        look: Of the line.
        face: Colour inside the markers; that of the line if left out.
        ends: Columns of the lower and the upper end.

    Raises:
        ValueError: As ``in_order``.
    """
    line = in_order(line, x, look)
    reach = [line[y] - line[ends[0]], line[ends[1]] - line[y]]
    colour, marker, linestyle, label = look
    ax.errorbar(
        line[x],
        line[y],
        yerr=[part.clip(lower=0) for part in reach],
        color=colour,
        marker=marker,
        markersize=4.5,
        markerfacecolor=face or colour,
        linestyle=linestyle,
        linewidth=1.2,
        capsize=2,
        label=label,
    )


def unpruned_level(ax: Axes, table: pd.DataFrame) -> None:
    """The score of the unpruned model as a level with its interval: columns value, low, high."""
    for low, value, high in table[["low", "value", "high"]].itertuples(index=False):
        ax.axhline(value, color=style.colour("none"), linewidth=1, label=style.label("none"))
        ax.axhspan(low, high, color=style.colour("none"), alpha=0.08, linewidth=0)


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


def dots(
    ax: Axes,
    table: pd.DataFrame,
    value: str,
    places: Float[Array, "n"],
    colours: Sequence[str],
    filled: Sequence[bool] | None = None,
) -> None:
    """One dot with its interval per line of a table.

    Args:
        ax: Where to draw.
        table: Columns value, low and high. Where it also has low_categories and high_categories, a
            thin line shows this wider interval.
        value: Column of the dots.
        places: On the vertical axis.
        colours: Colours of the lines.
        filled: Which dots are filled; all if left out.
    """
    full = filled or [True] * len(table)
    faces = [colour if one else "white" for colour, one in zip(colours, full, strict=True)]
    ax.hlines(places, table["low"], table["high"], colors=colours, linewidth=1.4)
    if "low_categories" in table:
        ends = table["low_categories"], table["high_categories"]
        ax.hlines(places, *ends, colors=colours, linewidth=0.6)
    ax.scatter(table[value], places, c=faces, edgecolors=colours, linewidths=1.0, s=18, zorder=3)


def forest(
    ax: Axes,
    table: pd.DataFrame,
    value: str,
    names: Sequence[str],
    colours: Sequence[str],
    null: float = 0.0,
    filled: Sequence[bool] | None = None,
) -> None:
    """``dots`` with names, the first line on top; a vertical line marks the value of no effect."""
    places = np.arange(len(table), dtype=np.float64)
    dots(ax, table, value, places, colours, filled)
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.axvline(null, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_ylabel("")


def stacked(ax: Axes, parts: pd.DataFrame, names: Sequence[str], colours: Sequence[str]) -> Axes:
    """Horizontal bars of several parts each, the first line on top.

    Args:
        ax: Where to draw.
        parts: A line per bar and a column per part.
        names: Of the bars.
        colours: Of the parts.
    """
    left = parts.cumsum(axis=1) - parts
    for part, colour in zip(parts, colours, strict=True):
        places = range(len(parts))
        ax.barh(places, parts[part], left=left[part], color=colour, label=part)
    ax.set_yticks(range(len(parts)), names)
    ax.invert_yaxis()
    return legend_beside(ax)


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
    counts = zip(table["category"], table["n"], strict=True)
    names = [literal(f"{category} ({n})") for category, n in counts]
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
