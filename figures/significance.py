"""Figures of significance: differences to the paper's method, and the share of cIoU kept."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note
from litelvlm.figures.sweep import KEPT

LEVEL = 0.05  # of p after adjustment
MARKED = " †"  # compared with another method than the paper's
REQUESTS = {
    "llm_score": "LLM score",
    "llm_shapley": "LLM score",
    "worst_first": "worst first",
    "falsify": "control",
    "recovery": "context",
    "rivals": "rival",
    "rounding": "number type",
    "paper_rule": "paper's own rule",
}


def draw_deltas(table: pd.DataFrame, ax: Axes) -> Axes:
    """S1: every method minus the paper's at one budget; filled dots differ after adjustment.

    Args:
        table: Lines of one metric and budget of the summary's table "deltas": request, method,
            reference, delta, low, high, p_holm.
        ax: Where to draw; one line per method, grouped by request; a dagger marks those with
            another reference.
    """
    shown = in_order(table)
    lines = zip(shown["request"], shown["method"], shown["reference"], strict=True)
    names = [
        f"{REQUESTS[request]}: {style.label(method)}" + (MARKED if other != "litelvlm" else "")
        for request, method, other in lines
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
    """Lines by request, in the order of ``REQUESTS``, then from the highest difference down."""
    place = table["request"].map(list(REQUESTS).index)
    order: pd.DataFrame = table.assign(place=place).sort_values(
        ["place", "delta"], ascending=[True, False], kind="stable"
    )
    return order.drop(columns="place")


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of the largest budget."""
    lines: pd.DataFrame = table[table["budget"] == table["budget"].max()]
    return lines


def _deltas(run: Saved) -> RenderedFigure:
    table = run.table("deltas")
    lines = largest(table[table["metric"] == "ciou"])
    figure, ax = style.new_figure(7.2, 1.4 + 0.2 * len(lines))
    draw_deltas(lines, ax).set_title(
        run.title(f"Which methods differ from LiteLVLM? {lines['budget'].max()} tokens")
    )
    what = (
        "95 % intervals, paired, from resampling images; filled: p ≤ 0.05 "
        "(image swaps, Holm's adjustment over all differences)"
    )
    return RenderedFigure(figure, " ".join([sample_note(lines, what), *exceptions(lines)]))


def exceptions(table: pd.DataFrame) -> list[str]:
    """What the marked lines are compared with, if there are any."""
    marked = table[table["reference"] != "litelvlm"]
    pairs = [
        f"{style.label(m)} with {style.label(r)}"
        for m, r in zip(marked["method"], marked["reference"], strict=True)
    ]
    return [f"{MARKED.strip()} compares {'; '.join(pairs)}."] if pairs else []


def _retention(run: Saved) -> RenderedFigure:
    lines = largest(run.table("retention"))
    figure, ax = style.new_figure(6.4, 1.4 + 0.2 * len(lines))
    draw_retention(lines, ax).set_title(run.title(f"Is 90 % kept? {lines['budget'].max()} tokens"))
    what = "95 % intervals, paired, from resampling images; filled: one-sided 95 % bound above 90 %"
    return RenderedFigure(figure, sample_note(lines, what))


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
