"""Figure of the mechanism study: what is left of the reversal under each probe?"""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest, legend_beside
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

COLOURS = {
    "removed": "#009E73",
    "flipped": "#0072B2",
    "attenuated": "#E69F00",
    "kept": "#D55E00",
    "amplified": "#882255",
    "open": "#8C8C8C",
    "nothing to remove": "#BFBFBF",
    "too few images": "#BFBFBF",
}
"""Colour of each verdict."""


def draw_probes(table: pd.DataFrame, ax: Axes) -> Axes:
    """The reversal index under each probe with its interval, coloured by its verdict.

    Args:
        table: The summary's table "probes" of one CLIP model: probe, name, ri, ri_low, ri_high,
            ri_base, verdict.
        ax: Where to draw, the first probe on top; a dotted line marks the index as released.
    """
    drawn = table[["ri"]].assign(low=table["ri_low"], high=table["ri_high"])
    colours = [COLOURS[verdict] for verdict in table["verdict"]]
    forest(ax, drawn, "ri", list(table["name"]), colours)
    ax.set_ylim(len(table) - 0.5, -0.5)
    for verdict in dict.fromkeys(table["verdict"]):
        ax.scatter([], [], c=COLOURS[verdict], s=20, label=verdict)
    for value in table.loc[table["probe"] == "released", "ri"]:
        ax.axvline(value, color=style.INK, linewidth=0.8, linestyle=":", zorder=0)
    ax.set(xlabel="reversal index (dotted: as released)")
    return legend_beside(ax, "fall of the index")


@Drawing("mechanism", ("probes",))
def mechanism_index(run: Saved) -> RenderedFigure:
    """Reversal index under each probe."""
    table = run.table("probes")
    own = table[table["clip_model"] == ""]
    figure, ax = style.new_figure(8.0, 1.2 + 0.24 * len(own))
    draw_probes(own, ax).set_title(run.title("What is left of the reversal under each probe?"))
    note = "95 % intervals from resampling images, paired; words follow the widest interval"
    return RenderedFigure(figure, sample_note(own, note))


DRAWINGS = (mechanism_index,)
