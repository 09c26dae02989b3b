"""Whether sink, reversal and gain go together, trainings as points."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.emergence.stages import LABELS, STAGES, counted
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved


def draw_link(table: pd.DataFrame, ax: Axes) -> Axes:
    """Sink against reversal, every training that learned as a point, one marker per stage.

    Args:
        table: The summary's table "outcomes"; trainings that were made to have a sink are left out.
        ax: Where to draw.
    """
    return _scatter(_learned(table), "sink", "reversal", ax)


def draw_gain(table: pd.DataFrame, ax: Axes) -> Axes:
    """What LiteLVLM gains over random tokens against the reversal index, trainings as points.

    Args:
        table: The summary's table "gains"; only trainings that count in the claims are drawn.
        ax: Where to draw.
    """
    return _scatter(_counted_gains(table), "index", "gain", ax)


def _counted_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of "gains" that count in the claims. The study itself would load models to say so."""
    return table[table["learned"] & table["works"] & ~table["repeated"]]


def _scatter(table: pd.DataFrame, x: str, y: str, ax: Axes) -> Axes:
    """Two columns of trainings, one marker per stage, with lines at 0."""
    for stage, (name, method) in STAGES.items():
        part = table[table["stage"] == stage]
        if not part.empty:
            colour, marker = style.colour(method), style.mark(method)
            ax.scatter(part[x], part[y], color=colour, marker=marker, s=18, label=name)
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel=LABELS[x], ylabel=LABELS[y])
    ax.legend(loc="best")
    return ax


def _learned(table: pd.DataFrame) -> pd.DataFrame:
    """Trainings that learned and have both outcomes, each once; none was made to have a sink."""
    natural = table["learned"] & ~table["repeated"] & (table["sos_loss"] == 0)
    return table[natural].dropna(subset=["sink", "reversal"])


def _link(run: Saved) -> RenderedFigure:
    table = run.table("outcomes")
    figure, ax = style.new_figure(5.4, 3.8)
    draw_link(table, ax).set_title(run.title("Do sink and reversal go together?"))
    note = "those that learned to find categories; none was made to have a sink"
    return RenderedFigure(figure, counted(len(_learned(table)), note))


def _gain(run: Saved) -> RenderedFigure:
    table = run.table("gains")
    figure, ax = style.new_figure(5.4, 3.8)
    draw_gain(table, ax).set_title(run.title("Does the reversal tell what LiteLVLM gains?"))
    note = "those that learned and whose reader finds objects; mean of the budgets"
    return RenderedFigure(figure, counted(len(_counted_gains(table)), note))


DRAWINGS = {
    "emergence_link": Drawing(
        "emergence",
        "Sink against reversal across trainings.",
        _link,
        ("outcomes",),
        drawable=lambda run: not _learned(run.table("outcomes")).empty,
    ),
    "emergence_gain": Drawing(
        "emergence",
        "Gain of LiteLVLM over random tokens against the reversal index across trainings.",
        _gain,
        ("gains",),
        drawable=lambda run: len(_counted_gains(run.table("gains"))) > 0,
    ),
}
