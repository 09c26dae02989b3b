"""What a claim rests on in each category of referents, of every study that judges referents."""

from collections.abc import Mapping
from functools import partial
from textwrap import fill
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

ENDS = 12
"""Categories that a panel shows at either end; those between them are left out."""
FEWEST = 5
"""Expressions that a category must have to be shown."""
LETTERS = 34
"""Most letters in one line below a panel."""
IMPORTANCE = {
    "H6.attention": "overlap with attention, beyond chance",
    "H6.removal": "overlap with the loss of dropped blocks, beyond chance",
}
SINK = {
    "H5.mask": "change without the key of [SOS], minus a content token's",
    "H5.value": "change without the value of [SOS], minus a content token's",
}
PROBES = {
    "released": "reversal index as released",
    "value_path": "its fall with the values of the last block alone",
    "no_mean_text": "its fall without the mean text",
}
"""Panels of each study: claim or probe in the table "categories", and what its values are."""


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
    forest(ax, table, value, names, [style.colour("litelvlm")] * len(table), null=0.0)
    ax.set(ylabel="")
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


def _panels(run: Saved, titles: Mapping[str, str], heading: str) -> RenderedFigure:
    table = run.table("categories")
    parts = [(claim, table[table["claim"] == claim]) for claim in titles]
    drawn = [(claim, *shown_categories(part)) for claim, part in parts if len(part)]
    height = 1.5 + 0.165 * max(len(lines) for _, lines, _ in drawn)
    figure, axes = style.new_panels(len(drawn), style.PAGE, height)
    for (claim, lines, _), ax in zip(drawn, axes, strict=True):
        draw_categories(lines, "mean", ax).set_xlabel(fill(titles[claim], LETTERS), fontsize=8)
        ax.tick_params(labelsize=7)
    style.heading(figure, run.title(heading))
    counts = sorted({n for _, _, n in drawn})
    what = f"{' or '.join(map(excluded_text, counts))}; 95 % intervals from resampling images"
    return RenderedFigure(figure, sample_note(table[table["claim"].isin(titles)], what))


def _has_lines(table: pd.DataFrame, titles: Mapping[str, str]) -> bool:
    return "mean" in table and bool(table["claim"].isin(titles).any())


def _drawing(study: str, summary: str, titles: Mapping[str, str], heading: str) -> Drawing:
    return Drawing(
        study,
        summary,
        partial(_panels, titles=titles, heading=heading),
        ("categories",),
        drawable=lambda run: _has_lines(run.table("categories"), titles),
    )


DRAWINGS = {
    "importance_categories": _drawing(
        "importance",
        "Overlap of the kept tokens with those that matter, by category of the referent.",
        IMPORTANCE,
        "Does the overlap depend on the category?",
    ),
    "sink_categories": _drawing(
        "sink_causal",
        "What hiding [SOS] changes beyond a content token, by category of the referent.",
        SINK,
        "Does the effect of [SOS] depend on the category?",
    ),
    "mechanism_categories": _drawing(
        "mechanism",
        "Reversal index and its fall under two probes, by category of the referent.",
        PROBES,
        "Does what removes the reversal depend on the category?",
    ),
}
