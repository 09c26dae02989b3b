"""Figures of significance: differences to the paper's method, and the share of the score kept."""

from collections.abc import Callable
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.analysis.inputs.methods import PAPER
from litelvlm.analysis.studies.scores import MAIN, Score, main_score
from litelvlm.figures import style
from litelvlm.figures.axes import WIDER, forest
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note
from litelvlm.figures.sweep import LEAST

LEVEL = 0.05  # of p after adjustment
MARKED = " †"  # compared with another method than the paper's
REQUESTS = {
    "paper": "As released",
    "paper_rule": "The paper's own rule for one expression",
    "worst_first": "Worst first",
    "falsify": "Controls",
    "recovery": "Context tokens",
    "rivals": "Rivals",
    "llm_score": "Scores of the language model",
    "llm_shapley": "Scores of the language model",
    "rounding": "Number type",
    "reads_text": "Text of another image",
}
"""Requests in the order of their panels, with the panels' titles; equal titles share a panel."""


def draw_deltas(table: pd.DataFrame, ax: Axes) -> Axes:
    """S1: methods minus the paper's at one budget; filled dots differ after adjustment.

    Args:
        table: Lines of one metric and budget of the summary's table "deltas": request, method,
            reference, delta, low, high, p_holm.
        ax: Where to draw; one line per method, ordered by request; a dagger marks those with
            another reference.
    """
    shown = in_order(table)
    names = [
        style.label(method) + (MARKED if other != PAPER else "")
        for method, other in zip(shown["method"], shown["reference"], strict=True)
    ]
    colours, sure = shown["method"].map(style.colour).tolist(), shown["p_holm"] <= LEVEL
    forest(ax, shown, "delta", names, colours, filled=sure.tolist())
    label = main_score(table["metric"]).label
    ax.set(xlabel=f"{label} minus that of LiteLVLM at the same budget")
    return ax


def draw_retention(table: pd.DataFrame, ax: Axes, score: Score = MAIN) -> Axes:
    """S2: share of the unpruned score that each method keeps, with 95 % intervals.

    Args:
        table: Lines of one budget of the summary's table "retention": request, method, kept, low,
            high, bound.
        ax: Where to draw; a dot is filled where the one-sided 95 % bound clears the share that
            claims are about.
        score: What is kept.
    """
    shown = table.sort_values("kept", ascending=False, kind="stable")
    names, colours = (shown["method"].map(name).tolist() for name in (style.label, style.colour))
    forest(ax, shown, "kept", names, colours, LEAST, (shown["bound"] > LEAST).tolist())
    ax.set(xlabel=f"share of the unpruned {score.label}")
    return ax


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Lines by panel, in the order of ``REQUESTS``, then from the highest difference down."""
    place = table["request"].map(REQUESTS).map(list(REQUESTS.values()).index)
    order: pd.DataFrame = table.assign(place=place).sort_values(
        ["place", "delta"], ascending=[True, False], kind="stable"
    )
    return order.drop(columns="place")


def by_request(
    table: pd.DataFrame, draw: Callable[[pd.DataFrame, Axes], Axes], title: str
) -> Figure:
    """Panels of requests below each other, each with its title in words, as high as its lines.

    Args:
        table: Lines of one budget with a column "request".
        draw: From lines of one request to its panel.
        title: Of the whole figure.
    """
    panels = table["request"].map(REQUESTS)
    titles = [name for name in dict.fromkeys(REQUESTS.values()) if (panels == name).any()]
    heights = [float((panels == name).sum()) + 1 for name in titles]
    figure = Figure(
        figsize=style.size(style.PAGE, 0.9 + 0.165 * sum(heights)), layout="constrained"
    )
    axes = figure.subplots(len(titles), 1, sharex=True, squeeze=False, height_ratios=heights)
    for ax, name in zip(axes[:, 0], titles, strict=True):
        group = table[panels == name]
        draw(group, ax).set_title(name, fontsize=8.5, pad=3)
        ax.tick_params(axis="y", labelsize=8)
        ax.set_ylim(len(group) - 0.4, -0.6)
        ax.label_outer()
    style.heading(figure, title)
    return figure


def exceptions(table: pd.DataFrame) -> list[str]:
    """What the marked lines are compared with, if there are any."""
    marked = table[table["reference"] != PAPER]
    pairs = [
        f"“{style.label(m)}” with “{style.label(r)}”"
        for m, r in zip(marked["method"], marked["reference"], strict=True)
    ]
    return [f"{MARKED.strip()} compares {'; '.join(pairs)}."] if pairs else []


@Drawing("ablations", ("deltas",))
def ablation_deltas(run: Saved) -> RenderedFigure:
    """Paired differences of cIoU, of clips J&F, to the paper's method."""
    table = run.table("deltas")
    score = main_score(table["metric"])
    lines = table[(table["metric"] == score.name) & (table["budget"] == table["budget"].max())]
    title = run.title(f"Which methods differ from LiteLVLM? {lines['budget'].max()} tokens")
    what = (
        f"95 % intervals, paired, from resampling images; {WIDER}; filled: p ≤ 0.05 "
        "(the larger p of both, Holm's adjustment over all differences)"
    )
    note = " ".join([sample_note(lines, what), *exceptions(lines)])
    return RenderedFigure(by_request(lines, draw_deltas, title), note)


@Drawing("ablations", ("retention",))
def ablation_retention(run: Saved) -> RenderedFigure:
    """Share of the unpruned cIoU, of clips J&F, kept, against the share that claims are about."""
    table, least = run.table("retention"), f"{100 * LEAST:g} %"
    lines = table[table["budget"] == table["budget"].max()]
    title = run.title(f"Is {least} kept? {lines['budget'].max()} tokens")
    what = f"95 % intervals, paired, from resampling images; filled: one-sided bound above {least}"
    draw = partial(draw_retention, score=main_score(run.table("scores")["metric"]))
    return RenderedFigure(by_request(lines, draw, title), sample_note(lines, what))


DRAWINGS = (ablation_deltas, ablation_retention)
