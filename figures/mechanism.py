"""Figures of the mechanism study: how much of the reversal does each probe remove?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

COLOURS = {
    "removed": "#009E73",
    "flipped": "#0072B2",
    "attenuated": "#E69F00",
    "kept": "#D55E00",
    "nothing to remove": "#8C8C8C",
    "too few images": "#BFBFBF",
}
"""Colour of each verdict."""


def draw_probes(table: pd.DataFrame, ax: Axes, share: bool) -> Axes:
    """One dot with its interval per probe, coloured by its verdict.

    Args:
        table: The summary's table "probes" of one CLIP model: probe, name, ri, ri_low, ri_high,
            share, low, high, verdict.
        ax: Where to draw, the first probe on top.
        share: Whether to draw the attribution share, or the reversal index itself.
    """
    columns = ("share", "low", "high") if share else ("ri", "ri_low", "ri_high")
    value, low, high = (table[name].to_numpy(dtype=np.float64) for name in columns)
    colours = [COLOURS[verdict] for verdict in table["verdict"]]
    places = np.arange(len(table))
    ax.hlines(places, low, high, colors=colours, linewidth=1.4)
    ax.scatter(value, places, c=colours, s=20, zorder=3)
    ax.set_yticks(
        places,
        [f"{probe}  {name}" for probe, name in zip(table["probe"], table["name"], strict=True)],
    )
    ax.set_ylim(len(table) - 0.5, -0.5)
    for verdict in dict.fromkeys(table["verdict"]):
        ax.scatter([], [], c=COLOURS[verdict], s=20, label=verdict)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    if share:
        ax.axvline(1, color=style.MUTED, linewidth=0.8, linestyle=":", zorder=0)
    ax.set(
        xlabel="attribution share, 1 − RI / RI as released (1: all of it removed)"
        if share
        else "reversal index"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _shares(run: Saved) -> RenderedFigure:
    return _render(run, share=True)


def _indices(run: Saved) -> RenderedFigure:
    return _render(run, share=False)


def _render(run: Saved, share: bool) -> RenderedFigure:
    table = run.table("probes")
    own = table[table["clip_model"] == ""]
    figure, ax = style.new_figure(8.0, 1.2 + 0.24 * len(own))
    title = (
        "How much of the reversal does each probe remove?" if share else "Reversal under each probe"
    )
    draw_probes(own, ax, share).set_title(run.title(title))
    note = "95 % intervals from resampling images, paired"
    if share and own["share"].isna().all():
        note += (
            "; no share is defined, because the interval of the released ranking's reversal "
            "contains 0"
        )
    return RenderedFigure(figure, sample_note(own, note))


DRAWINGS = {
    "mechanism_shares": Drawing(
        "mechanism", "Share of the reversal that each probe removes.", _shares, ("probes",)
    ),
    "mechanism_index": Drawing(
        "mechanism", "Reversal index under each probe.", _indices, ("probes",)
    ),
}
