"""Figures of the accuracy sweep: scores by method and token budget, with controls."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.analysis.studies.scores import RESAMPLED
from litelvlm.figures import style
from litelvlm.figures.axes import band, budget_axis, forest, lines_of
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, protocol_note

METRICS = {score.name: score.label for score in RESAMPLED}
ORACLES = ("mask_oracle", "inverse_mask_oracle")
KEPT = 0.90
"""Share of the unpruned cIoU that the paper claims to keep."""
LINES = 10
"""Most methods in one panel; more are spread over panels that repeat ``REFERENCES``."""
REFERENCES = ("none", "random")


def draw_accuracy(table: pd.DataFrame, metric: str, ax: Axes) -> Axes:
    """A score against the token budget, with interval bands.

    Args:
        table: The summary's table "scores": method, budget, metric, value, low, high.
        metric: "ciou", "giou" or "p50".
        ax: Where to draw; one line per method, dotted for oracles, the unpruned score as a level.
    """
    chosen = table[table["metric"] == metric]
    whole = chosen[chosen["method"] == "none"]
    pruned = chosen[chosen["method"] != "none"]
    for low, value, high in whole[["low", "value", "high"]].itertuples(index=False):
        ax.axhline(value, color=style.colour("none"), linewidth=1, label=style.label("none"))
        ax.axhspan(low, high, color=style.colour("none"), alpha=0.08, linewidth=0)
    for method, line in lines_of(in_order(pruned), "method"):
        linestyle = ":" if method in ORACLES else style.line(method)
        band(ax, line, "budget", "value", method, style.label(method), linestyle)
    budget_axis(ax, pruned["budget"])
    ax.set(ylabel=METRICS[metric])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_retention(table: pd.DataFrame, ax: Axes) -> Axes:
    """Share of the unpruned cIoU that each method keeps, with one-sided 95 % bounds.

    Args:
        table: The summary's table "comparisons": method, budget, metric, reference, retention,
            retention_bound.
        ax: Where to draw; dots are estimates, bars reach down to the bounds.
    """
    chosen = table[(table["metric"] == "ciou") & (table["reference"] == "none")]
    for method, line in lines_of(in_order(chosen), "method"):
        line = line.sort_values("budget")
        down = line["retention"] - line["retention_bound"]
        ax.errorbar(
            line["budget"],
            line["retention"],
            yerr=[down.clip(lower=0), 0 * down],
            color=style.colour(method),
            marker=style.mark(method),
            markersize=4.5,
            linestyle=":" if method in ORACLES else style.line(method),
            linewidth=1.2,
            capsize=2,
            label=style.label(method),
        )
    ax.axhline(KEPT, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.annotate(
        "90 %", (0.01, KEPT), xycoords=("axes fraction", "data"), ha="left", va="top", fontsize=7.5
    )
    budget_axis(ax, chosen["budget"])
    ax.set(ylabel="share of the unpruned cIoU")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_delta(table: pd.DataFrame, ax: Axes) -> Axes:
    """Paired difference of cIoU to random tokens at one budget.

    Args:
        table: The lines of one budget of ``random_differences``: method, delta, low, high.
        ax: Where to draw; one line per method.
    """
    names, colours = names_and_colours(table["method"])
    forest(ax, table, "delta", names, colours, null=0.0)
    ax.set(xlabel="", ylabel="")
    return ax


def random_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of cIoU of the summary's table "comparisons" against random tokens."""
    return in_order(table[(table["metric"] == "ciou") & (table["reference"] == "random")])


def draw_kind(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw cIoU of one kind of expression, unpruned beside pruned.

    Args:
        table: The lines of one kind of ``largest_budget``: method, value, low, high.
        ax: Where to draw; one line per method.
    """
    names, colours = names_and_colours(table["method"])
    forest(ax, table, "value", names, colours, null=0.0)
    ax.set(xlim=(0, 1), xticks=(0, 0.5, 1), xlabel="", ylabel="")
    return ax


def largest_budget(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of cIoU of each method at its largest budget, of the summary's table "kinds"."""
    chosen = table[table["metric"] == "ciou"]
    most = chosen.groupby("method")["budget"].transform("max")
    return in_order(chosen[chosen["budget"] == most])


def names_and_colours(methods: "pd.Series[str]") -> tuple[list[str], list[str]]:
    """Names and colours of methods."""
    return [style.label(method) for method in methods], [style.colour(method) for method in methods]


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of a table by method, in the order of legends."""
    return table.sort_values("method", key=lambda names: names.map(style.rank), kind="stable")


def panels(methods: Sequence[str]) -> list[list[str]]:
    """Methods in panels of lines that can be told apart, the references in each.

    Example:
        >>> panels(["none", "litelvlm", "random"])
        [['none', 'litelvlm', 'random']]
    """
    if len(methods) <= LINES:
        return [list(methods)]
    shared = [method for method in methods if method in REFERENCES]
    others = [method for method in methods if method not in REFERENCES]
    count = math.ceil(len(others) / (LINES - len(shared)))
    size = math.ceil(len(others) / count)
    return [shared + others[start : start + size] for start in range(0, len(others), size)]


def _lines(table: pd.DataFrame, draw: Callable[[pd.DataFrame, Axes], Axes], title: str) -> Figure:
    groups = panels([method for method, _ in lines_of(in_order(table), "method")])
    columns = min(2, len(groups))
    rows = math.ceil(len(groups) / columns)
    figure = Figure(figsize=(6.4 * columns, 3.6 * rows), layout="constrained")
    places = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for ax, group in zip(places, groups, strict=False):
        draw(table[table["method"].isin(group)], ax)
    for ax in places[len(groups) :]:
        ax.set_axis_off()
    places[0].set_title(title)
    return figure


def _forests(
    groups: Sequence[tuple[str, pd.DataFrame]],
    draw: Callable[[pd.DataFrame, Axes], Axes],
    label: str,
    title: str,
) -> Figure:
    tallest = max(len(lines) for _, lines in groups)
    figure = Figure(figsize=(1.8 + 1.9 * len(groups), 1.3 + 0.2 * tallest), layout="constrained")
    first = list(groups[0][1]["method"])
    places = figure.subplots(1, len(groups), sharex=True, squeeze=False)[0]
    for ax, (name, lines) in zip(places, groups, strict=True):
        draw(lines, ax).set_title(name, fontsize=9)
        if ax is not places[0] and list(lines["method"]) == first:
            ax.set_yticklabels([])
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.supxlabel(label, fontsize=9)
    return figure


def _accuracy(run: Saved, metric: str) -> RenderedFigure:
    table = run.table("scores")
    title = run.title(f"{METRICS[metric]} against visual tokens")
    figure = _lines(table, lambda lines, ax: draw_accuracy(lines, metric, ax), title)
    return RenderedFigure(
        figure,
        protocol_note(
            run, table, "bands: 95 % intervals from resampling images; oracles read the true mask"
        ),
    )


def _retention(run: Saved) -> RenderedFigure:
    table = run.table("comparisons")
    figure = _lines(table, draw_retention, run.title("How much of the unpruned score is kept?"))
    return RenderedFigure(
        figure,
        protocol_note(
            run, table, "bars: one-sided 95 % lower bounds, paired, from resampling images"
        ),
    )


def compared_with(run: Saved, reference: str) -> bool:
    """Whether a sweep has lines against a reference: "none" or "random"."""
    table = run.table("comparisons")
    return not table.empty and bool((table["reference"] == reference).any())


def _delta(run: Saved) -> RenderedFigure:
    lines = random_differences(run.table("comparisons"))
    budgets = sorted(lines["budget"].unique(), reverse=True)
    groups = [(f"{budget} tokens", lines[lines["budget"] == budget]) for budget in budgets]
    label = "cIoU minus that of random tokens at the same budget"
    figure = _forests(groups, draw_delta, label, run.title("Better than random tokens?"))
    return RenderedFigure(
        figure, protocol_note(run, lines, "95 % intervals, paired, from resampling images")
    )


def _kinds(run: Saved) -> RenderedFigure:
    lines = largest_budget(run.table("kinds"))
    groups = [(kind, lines[lines["kind"] == kind]) for kind in sorted(lines["kind"].unique())]
    title = run.title(f"cIoU by kind of expression, {_budgets(lines)} tokens")
    return RenderedFigure(_forests(groups, draw_kind, "cIoU", title), protocol_note(run, lines))


def _budgets(lines: pd.DataFrame) -> str:
    return " or ".join(map(str, sorted(lines["budget"].unique())))


DRAWINGS = {
    "accuracy_ciou": Drawing(
        "sweep",
        "cIoU against visual tokens, by method.",
        partial(_accuracy, metric="ciou"),
        ("scores",),
        opens=1,
    ),
    "accuracy_giou": Drawing(
        "sweep",
        "gIoU against visual tokens, by method.",
        partial(_accuracy, metric="giou"),
        ("scores",),
    ),
    "retention": Drawing(
        "sweep",
        "Share of the unpruned cIoU that each method keeps.",
        _retention,
        ("comparisons",),
        drawable=partial(compared_with, reference="none"),
    ),
    "delta_random": Drawing(
        "sweep",
        "Paired difference of cIoU to random tokens at the same budget.",
        _delta,
        ("comparisons",),
        drawable=partial(compared_with, reference="random"),
    ),
    "accuracy_kinds": Drawing(
        "sweep", "cIoU by kind of expression at the largest budget.", _kinds, ("kinds",)
    ),
}
