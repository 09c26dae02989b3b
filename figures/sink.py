"""Figures of the sink study: how much of the text tower's attention goes to a token without a word?"""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from figures import style
from figures.axes import band
from figures.saved import Drawing, Drawn, Saved, sample_note

LINES = {
    ("trained", "template"): ("trained, the method's sentences", "litelvlm"),
    ("trained", "expression"): ("trained, bare expressions", "low_similarity"),
    ("trained", "permuted"): ("trained, words permuted", "high_similarity"),
    ("random", "template"): ("random weights", "random"),
}
"""(weights, wording) to its name and the method whose colour it borrows."""


def draw_grid(table: pd.DataFrame, ax: Axes) -> Axes:
    """Lift of attention from [EOS] to [SOS] over uniform attention, per layer and head.

    Args:
        table: The summary's table "grid": layer, head, lift, q.
        ax: Where to draw; rows are layers from input to output, columns heads. A star marks q < 0.05.
    """
    wide = table.pivot(index="layer", columns="head", values="lift")
    stars = table.pivot(index="layer", columns="head", values="q").lt(0.05)
    texts = wide.map("{:.2f}".format) + stars.map(lambda below: "*" if below else "")
    sns.heatmap(
        wide,
        annot=texts,
        fmt="",
        annot_kws={"size": 7},
        cmap="vlag",
        center=1.0,
        linewidths=0.5,
        cbar_kws={"label": "lift (1: uniform attention)"},
        ax=ax,
    )
    ax.set(xlabel="head", ylabel="layer")
    return ax


def draw_layers(table: pd.DataFrame, ax: Axes) -> Axes:
    """Lift per layer, mean over heads, for trained and random weights.

    Args:
        table: The summary's table "layers": weights, text_mode, layer, measure, mean, low, high.
        ax: Where to draw; one line with a band per wording and weights.
    """
    lift = table[table["measure"] == "lift"]
    for (weights, mode), (name, method) in LINES.items():
        line = lift[(lift["weights"] == weights) & (lift["text_mode"] == mode)]
        if not line.empty:
            band(ax, line, "layer", "mean", method, name)
    ax.axhline(1, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xticks(sorted(lift["layer"].unique()))
    ax.set(xlabel="layer of the text tower", ylabel="lift (1: uniform attention)")
    ax.legend(loc="best")
    return ax


def _grid(run: Saved) -> Drawn:
    table = run.table("grid")
    figure, ax = style.new_figure(max(4.4, 1.8 + 0.5 * table["head"].nunique()), 1.6 + 0.4 * table["layer"].nunique())
    draw_grid(table, ax).set_title(run.title("Attention of [EOS] to [SOS]"))
    return Drawn(figure, sample_note(table, "stars: q < 0.05 after Benjamini-Hochberg over all heads, exploratory"))


def _layers(run: Saved) -> Drawn:
    table = run.table("layers")
    figure, ax = style.new_figure(5.4, 3.4)
    draw_layers(table, ax).set_title(run.title("Attention of [EOS] to [SOS] by layer"))
    return Drawn(figure, sample_note(table[table["measure"] == "lift"]))


DRAWINGS = {
    "sink_grid": Drawing(
        "sink", "Lift of attention from [EOS] to [SOS] over uniform, per layer and head.", _grid, ("grid",)
    ),
    "sink_layers": Drawing(
        "sink", "The same lift by layer, beside permuted words and random weights.", _layers, ("layers",)
    ),
}
