"""What each condition that is changed alone does, every training as a point."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.emergence.stages import ALONE, COLOURS, colour_of, counted
from litelvlm.figures.labels.conditions import cell_label
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

CHANGES = {
    "sink": "change of the log lift on [SOS]",
    "reversal": "change of the difference\n(index of the true minus absent text)",
    "reversal_true": "change of the index\nof the true text",
}
"""Outcome to what its axis says."""


def changes_from_base(table: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """One outcome of each training minus that of the base with the same seed.

    Args:
        table: Lines of the table "outcomes" of one stage that changes one factor at a time.
        outcome: Column of the values.

    Returns:
        Columns cell, change and learned; trainings without a base of their seed are left out.
    """
    base = table[table["cell"] == "base"].set_index("seed")[outcome]
    others = table[table["cell"] != "base"]
    change = others[outcome] - others["seed"].map(base)
    return others[["cell", "learned"]].assign(change=change).dropna(subset=["change"])


def draw_cells(table: pd.DataFrame, outcome: str, ax: Axes, order: list[str] | None = None) -> Axes:
    """What each change of condition does to one outcome, every training as a point.

    Args:
        table: Lines of the table "outcomes" of one stage that changes one factor at a time.
        outcome: Of ``CHANGES``.
        ax: Where to draw; a line per changed condition with the number of its trainings, bars are
            means and hollow points did not learn to find categories.
        order: Conditions from the lowest line to the highest; in the order of their means if left
            out.
    """
    found = changes_from_base(table, outcome)
    means = found.groupby("cell")["change"].mean().sort_values(kind="stable")
    means = means if order is None else means.reindex(order)
    colour = colour_of(outcome)
    for place, (cell, mean) in enumerate(means.items()):
        part = found[found["cell"] == cell]
        faces = [colour if learned else "white" for learned in part["learned"]]
        heights = np.full(len(part), float(place))
        ax.scatter(part["change"], heights, c=faces, edgecolors=colour, s=14, linewidths=0.7)
        ax.vlines(mean, place - 0.35, place + 0.35, colors=style.INK, linewidth=1.4)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    counts = found.groupby("cell").size().reindex(means.index)
    names = [f"{cell_label(str(cell))} ({n})" for cell, n in counts.items()]
    ax.set_yticks(range(len(means)), names)
    ax.set_ylim(-0.7, len(means) - 0.3)
    ax.set_xlabel(CHANGES[outcome])
    return ax


def alone(run: Saved) -> list[str]:
    """Stages of a run that change one factor at a time."""
    return [stage for stage in ALONE if stage in set(run.table("outcomes")["stage"])]


def _cells(run: Saved) -> RenderedFigure:
    table = run.table("outcomes")
    table = table[table["stage"] == alone(run)[0]]
    found = changes_from_base(table, "reversal").groupby("cell")["change"].mean()
    order = [str(cell) for cell in found.sort_values(kind="stable").index]
    figure, _ = style.new_figure(9.6, 1.8 + 0.26 * len(order))
    figure.clear()
    for ax, outcome in zip(figure.subplots(1, 3, sharey=True), COLOURS, strict=True):
        draw_cells(table, outcome, ax, order)
    figure.axes[0].set_title(run.title("Conditions changed against the base"))
    note = (
        "points are trainings minus the base of their seed (number in brackets), bars means; "
        "hollow: did not learn"
    )
    return RenderedFigure(figure, counted(int((table["cell"] != "base").sum()), note))


DRAWINGS = {
    "emergence_cells": Drawing(
        "emergence",
        "Change of sink, difference and index when one condition differs from the base.",
        _cells,
        ("outcomes",),
        drawable=lambda run: bool(alone(run)),
    ),
}
