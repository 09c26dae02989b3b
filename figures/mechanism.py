"""Figures of the mechanism study: what is left of the reversal, and where CLIP reads the text."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.runs.over_trainings import ALL_TRAININGS
from litelvlm.figures import style
from litelvlm.figures.axes import WIDER, forest, legend_beside
from litelvlm.figures.saved import INTERVALS, Drawing, RenderedFigure, Saved, sample_note, span

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


READOUTS = {
    "released": "layer that is pruned\n(as released)",
    "last_layer": "last layer",
    "value_path": "values of the\nlast block",
    "surgery": "CLIP Surgery",
    "clear_clip": "ClearCLIP",
}
"""Readouts that the talk's figures show, in words."""
_TEXTS = {"question": ("own text", "#0072B2", True), "foreign": ("other image's", "#D55E00", False)}
TURNS = "Does the direction depend on where CLIP is read?"


def draw_readouts(table: pd.DataFrame, ax: Axes) -> Axes:
    """The reversal index of each readout, with the own text and with those of other images.

    Args:
        table: The summary's table "crossing" of one CLIP model: readout, text, mean, low, high.
        ax: Where to draw, the released readout on top; left of 0 the object ranks high.
    """
    readouts = _shown(table)
    names = [READOUTS[name] for name in readouts]
    for text, (label, colour, filled) in _TEXTS.items():
        shown = table[table["text"] == text].set_index("readout").reindex(readouts)
        forest(ax, shown, "mean", names, [colour] * len(names), filled=[filled] * len(names))
        ax.scatter([], [], s=20, label=label, color=colour if filled else "white", ec=colour)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(
        xlim=(-1, 1), xlabel="object ranks high  \u2190  reversal index  \u2192  object ranks low"
    )
    return legend_beside(ax, "text")


def draw_trainings(table: pd.DataFrame, ax: Axes) -> Axes:
    """``draw_readouts`` of the means over trainings, with a small dot for each training.

    Args:
        table: The summary's table "crossing" of a run over trainings: clip_model, readout, text,
            mean, low, high.
        ax: Where to draw; dots of the own text lie above the line, those of the other's below.
    """
    means = table[table["clip_model"] == ALL_TRAININGS]
    each = table[~table["clip_model"].isin(["", ALL_TRAININGS])]
    places = {name: at for at, name in enumerate(_shown(means))}
    for (text, (_, colour, _)), aside in zip(_TEXTS.items(), (-0.2, 0.2), strict=True):
        lines = each[(each["text"] == text) & each["readout"].isin(places)]
        ax.scatter(lines["mean"], lines["readout"].map(places) + aside, s=7, c=colour, alpha=0.5)
    return draw_readouts(means, ax)


def _shown(table: pd.DataFrame) -> list[str]:
    return [name for name in READOUTS if name in set(table["readout"])]


@Drawing("mechanism", ("crossing",), opens=1)
def readout_texts(run: Saved) -> RenderedFigure:
    """Reversal index of each readout of CLIP, with its own text and a foreign one."""
    table = run.table("crossing")
    own = table[table["clip_model"] == ""]
    figure, ax = style.new_figure(7.5, 3.2)
    draw_readouts(own, ax).set_title(run.title(TURNS))
    note = f"{INTERVALS}; {WIDER}; the tower and the texts are the same in all rows"
    return RenderedFigure(figure, sample_note(own, note))


def _over_trainings(run: Saved) -> bool:
    return ALL_TRAININGS in set(run.table("crossing")["clip_model"])


@Drawing("mechanism", ("crossing",), drawable=_over_trainings, opens=1)
def readout_trainings(run: Saved) -> RenderedFigure:
    """Reversal index of each readout of CLIP in several trainings, by own and foreign text."""
    table = run.table("crossing")
    means = table[table["clip_model"] == ALL_TRAININGS]
    figure, ax = style.new_figure(7.5, 3.6)
    draw_trainings(table, ax).set_title(run.title(TURNS))
    note = "a small dot is one of them; 95 % intervals by Student's t, each training counted as one"
    return RenderedFigure(figure, f"n = {span(means['n'])} trainings; {note}.")


DRAWINGS = (mechanism_index, readout_texts, readout_trainings)
