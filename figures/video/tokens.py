"""What pruning does to clips: scores against the tokens that the language model really reads."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.figures import style
from litelvlm.figures.axes import dots
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note
from litelvlm.figures.sweep import draw_accuracy, looks_of

PUBLISHED = "published"
POINTS = {
    "V1": "V1: before the pooling, which fills up again",
    "V2": "V2: before the pooling, which is left out",
    "V3": "V3: behind the pooling",
    "V4": "V4: behind it, one budget over the clip",
    "V5": "V5: as V3, the video tower too",
}
"""Titles of the panels."""


def jf_scores(run: Saved) -> pd.DataFrame:
    """J&F of every method, budget, prune point and window of a run."""
    table = run.table("scores")
    return table[table["metric"] == "jf"]


def draw_point(table: pd.DataFrame, ax: Axes, looks: Mapping[str, style.Look]) -> Axes:
    """J&F of methods at one prune point against the tokens that are read, or kept at V1.

    Args:
        table: Its lines of the table "scores".
        ax: Where to draw.
        looks: Of the lines by method, the same at every prune point.
    """
    read = sorted(set(table["n_kept"]))
    if len(read) > 1:
        return draw_accuracy(table, "jf", ax, "n_kept", looks)
    draw_accuracy(table, "jf", ax, looks=looks)
    ax.set_xlabel(f"tokens of CLIP kept; the language model reads {read[0]:.0f} whatever is kept")
    return ax


def draw_windows(table: pd.DataFrame, ax: Axes) -> Axes:
    """J&F under two windows, for each method and number of tokens that is read.

    Args:
        table: Lines of one prune point and of the methods that both windows have.
        ax: Where to draw; a filled dot is the model's own window, a hollow one the other.
    """
    lines = table.sort_values(["method", "n_kept"], ascending=[True, False], kind="stable")
    groups = [pair for _, pair in lines.groupby(["method", "budget"], sort=False)]
    for number, pair in enumerate(groups):
        own = (pair["window"] == PUBLISHED).tolist()
        places = np.array([number - 0.12 if one else number + 0.12 for one in own])
        colours = [style.colour(method) for method in pair["method"]]
        dots(ax, pair, "value", places, colours, own)
    names = [
        f"{style.label(str(method))}, {n_kept:.0f} tokens read"
        for method, n_kept in (pair[["method", "n_kept"]].iloc[0] for pair in groups)
    ]
    ax.set_yticks(np.arange(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel="J&F", ylabel="")
    return ax


def two_windows(run: Saved) -> pd.DataFrame:
    """Lines of the prune point and the methods that stand under another window too."""
    table = jf_scores(run)
    other = table[table["window"] != PUBLISHED]
    shared = table["point"].isin(other["point"]) & table["method"].isin(other["method"])
    return table[shared]


@Drawing("video", ("scores",), opens=2)
def video_tokens(run: Saved) -> RenderedFigure:
    """The J&F of clips against the tokens that the language model reads, by prune point."""
    table = jf_scores(run)
    own = table[table["window"] == PUBLISHED]
    points = sorted(set(own["point"]))
    rows = math.ceil(len(points) / 2)
    figure = Figure(figsize=style.size(12.4, 3.4 * rows), layout="constrained")
    places = figure.subplots(rows, 2, sharey=True, squeeze=False).ravel()
    looks = looks_of(own)
    for ax, point in zip(places, points, strict=False):
        draw_point(own[own["point"] == point], ax, looks).set_title(
            POINTS[point], fontsize="medium"
        )
    for ax in places[len(points) :]:
        ax.set_axis_off()
    style.heading(figure, run.title("What pruning does to clips"))
    what = "bands: 95 % intervals from resampling images; oracles read the true mask"
    return RenderedFigure(figure, sample_note(own, what))


@Drawing("video", ("scores",), drawable=lambda run: not two_windows(run).empty)
def video_window(run: Saved) -> RenderedFigure:
    """The J&F of clips where the language model sees all tokens, and where a window hides some."""
    table = two_windows(run)
    figure, ax = style.new_figure(6.4, 1.2 + 0.32 * table["budget"].nunique() * 3)
    (other,) = set(table["window"]) - {PUBLISHED}
    seen = "every token" if other == "none" else f"the last {other} tokens"
    ax = draw_windows(table, ax)
    ax.set_title(run.title("What a window costs"))
    what = (
        f"filled: the model's own window; hollow: a token sees {seen}; bars: 95 % intervals from "
        "resampling images"
    )
    return RenderedFigure(figure, sample_note(table, what))


DRAWINGS = (video_tokens, video_window)
