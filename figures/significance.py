"""Figures of significance: differences to the paper's method, and the share of cIoU kept."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.figures import style
from litelvlm.figures.axes import forest
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note
from litelvlm.figures.sweep import KEPT

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
        style.label(method) + (MARKED if other != "litelvlm" else "")
        for method, other in zip(shown["method"], shown["reference"], strict=True)
    ]
    sure = (shown["p_holm"] <= LEVEL).tolist()
    forest(
        ax, shown, "delta", names, [style.colour(m) for m in shown["method"]], null=0.0, filled=sure
    )
    ax.set(xlabel="cIoU minus that of LiteLVLM at the same budget", ylabel="")
    return ax


def draw_retention(table: pd.DataFrame, ax: Axes) -> Axes:
    """S2: share of the unpruned cIoU that each method keeps, with 95 % intervals.

    Args:
        table: Lines of one budget of the summary's table "retention": request, method, kept, low,
            high, bound.
        ax: Where to draw; a dot is filled where the one-sided 95 % bound clears 90 %.
    """
    shown = table.sort_values("kept", ascending=False, kind="stable")
    names, colours = zip(
        *((style.label(method), style.colour(method)) for method in shown["method"]), strict=True
    )
    forest(
        ax,
        shown,
        "kept",
        list(names),
        list(colours),
        null=KEPT,
        filled=(shown["bound"] > KEPT).tolist(),
    )
    ax.set(xlabel="share of the unpruned cIoU", ylabel="")
    return ax


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Lines by panel, in the order of ``REQUESTS``, then from the highest difference down."""
    place = table["request"].map(REQUESTS).map(list(REQUESTS.values()).index)
    order: pd.DataFrame = table.assign(place=place).sort_values(
        ["place", "delta"], ascending=[True, False], kind="stable"
    )
    return order.drop(columns="place")


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of the largest budget."""
    lines: pd.DataFrame = table[table["budget"] == table["budget"].max()]
    return lines


def by_request(
    table: pd.DataFrame, draw: Callable[[pd.DataFrame, Axes], Axes], title: str
) -> Figure:
    """Panels of requests below each other, each with its title in words.

    Args:
        table: Lines of one budget with a column "request".
        draw: From lines of one request to its panel.
        title: Of the whole figure.
    """
    panels = table["request"].map(REQUESTS)
    titles = [name for name in dict.fromkeys(REQUESTS.values()) if (panels == name).any()]
    groups = [table[panels == name] for name in titles]
    figure, axes = style.stacked_panels([len(group) for group in groups])
    for ax, name, group in zip(axes, titles, groups, strict=True):
        draw(group, ax).set_title(name, fontsize=8.5, pad=3)
        ax.tick_params(axis="y", labelsize=8)
        ax.set_ylim(len(group) - 0.4, -0.6)
        if ax is not axes[-1]:
            ax.set_xlabel("")
    style.heading(figure, title)
    return figure


def _deltas(run: Saved) -> RenderedFigure:
    table = run.table("deltas")
    lines = largest(table[table["metric"] == "ciou"])
    title = run.title(f"Which methods differ from LiteLVLM? {lines['budget'].max()} tokens")
    what = (
        "95 % intervals, paired, from resampling images; filled: p ≤ 0.05 "
        "(image swaps, Holm's adjustment over all differences)"
    )
    return RenderedFigure(
        by_request(lines, draw_deltas, title),
        " ".join([sample_note(lines, what), *exceptions(lines)]),
    )


def exceptions(table: pd.DataFrame) -> list[str]:
    """What the marked lines are compared with, if there are any."""
    marked = table[table["reference"] != "litelvlm"]
    pairs = [
        f"“{style.label(m)}” with “{style.label(r)}”"
        for m, r in zip(marked["method"], marked["reference"], strict=True)
    ]
    return [f"{MARKED.strip()} compares {'; '.join(pairs)}."] if pairs else []


def _retention(run: Saved) -> RenderedFigure:
    lines = largest(run.table("retention"))
    title = run.title(f"Is 90 % kept? {lines['budget'].max()} tokens")
    what = "95 % intervals, paired, from resampling images; filled: one-sided 95 % bound above 90 %"
    return RenderedFigure(by_request(lines, draw_retention, title), sample_note(lines, what))


DRAWINGS = {
    "ablation_deltas": Drawing(
        "ablations", "Paired differences of cIoU to the paper's method.", _deltas, ("deltas",)
    ),
    "ablation_retention": Drawing(
        "ablations",
        "Share of the unpruned cIoU kept, against the 90 % line.",
        _retention,
        ("retention",),
    ),
}
