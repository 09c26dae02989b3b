"""Figures of the accuracy sweep: how much of the mask survives at each budget, and against what?"""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from figures import style
from figures.axes import band, budget_axis, forest, lines_of
from figures.saved import Drawing, Drawn, Saved, sample_note

METRICS = {"ciou": "cIoU", "giou": "gIoU", "p50": "P@0.5"}
ORACLES = ("mask_oracle", "inverse_mask_oracle")
KEPT = 0.90


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
    """Share of the unpruned cIoU that each method keeps, with one-sided 95 % bounds and the 90 % line.

    Args:
        table: The summary's table "comparisons": method, budget, metric, reference, retention, retention_bound.
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
    ax.annotate("90 %", (1, KEPT), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7.5)
    budget_axis(ax, chosen["budget"])
    ax.set(ylabel="share of the unpruned cIoU")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_delta(table: pd.DataFrame, ax: Axes) -> Axes:
    """Paired difference of cIoU to random tokens at the same budget.

    Args:
        table: The summary's table "comparisons": method, budget, metric, reference, delta, low, high.
        ax: Where to draw; one line per method and budget.
    """
    chosen = random_differences(table)
    names = [f"{style.label(m)}, {b}" for m, b in zip(chosen["method"], chosen["budget"], strict=True)]
    forest(ax, chosen, "delta", names, [style.colour(m) for m in chosen["method"]], null=0)
    ax.set(xlabel="cIoU minus that of random tokens at the same budget", ylabel="")
    return ax


def random_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of "comparisons" against random tokens, by budget from large to small."""
    chosen = table[(table["metric"] == "ciou") & (table["reference"] == "random")]
    return in_order(chosen).sort_values("budget", ascending=False, kind="stable")


def draw_kinds(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw cIoU by kind of expression at the largest budget, unpruned beside pruned.

    Args:
        table: The summary's table "kinds": kind, method, budget, metric, value, low, high.
        ax: Where to draw; one line per kind and method.
    """
    chosen = largest_budget(table)
    names = [f"{kind}: {style.label(m)}" for kind, m in zip(chosen["kind"], chosen["method"], strict=True)]
    forest(ax, chosen, "value", names, [style.colour(m) for m in chosen["method"]], null=0)
    ax.set(xlim=(0, 1), xlabel="cIoU", ylabel="")
    return ax


def largest_budget(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of cIoU of each method at its largest budget."""
    chosen = table[table["metric"] == "ciou"]
    most = chosen.groupby("method")["budget"].transform("max")
    return in_order(chosen[chosen["budget"] == most]).sort_values("kind", kind="stable")


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of a table by method, in the order of legends."""
    return table.sort_values("method", key=lambda names: names.map(style.rank), kind="stable")


def _accuracy(run: Saved, metric: str) -> Drawn:
    table = run.table("scores")
    figure, ax = style.new_figure(6.4, 3.6)
    draw_accuracy(table, metric, ax).set_title(run.title(f"{METRICS[metric]} against visual tokens"))
    return Drawn(figure, sample_note(table, "bands: 95 % intervals from resampling images; oracles read the true mask"))


def _retention(run: Saved) -> Drawn:
    table = run.table("comparisons")
    figure, ax = style.new_figure(6.4, 3.6)
    draw_retention(table, ax).set_title(run.title("What is kept of the unpruned score?"))
    return Drawn(figure, sample_note(table, "bars: one-sided 95 % lower bounds, paired, from resampling images"))


def _delta(run: Saved) -> Drawn:
    table = run.table("comparisons")
    lines = random_differences(table)
    figure, ax = style.new_figure(6.0, 1.4 + 0.2 * len(lines))
    draw_delta(table, ax).set_title(run.title("Better than random tokens?"))
    return Drawn(figure, sample_note(lines, "95 % intervals, paired, from resampling images"))


def _kinds(run: Saved) -> Drawn:
    table = run.table("kinds")
    lines = largest_budget(table)
    figure, ax = style.new_figure(6.0, 1.4 + 0.2 * len(lines))
    draw_kinds(table, ax).set_title(run.title(f"cIoU by kind of expression, {_budgets(lines)} tokens"))
    return Drawn(figure, sample_note(lines))


def _budgets(lines: pd.DataFrame) -> str:
    return " or ".join(map(str, sorted(lines["budget"].unique())))


DRAWINGS = {
    "accuracy_ciou": Drawing(
        "sweep", "cIoU against visual tokens, by method.", partial(_accuracy, metric="ciou"), ("scores",)
    ),
    "accuracy_giou": Drawing(
        "sweep", "gIoU against visual tokens, by method.", partial(_accuracy, metric="giou"), ("scores",)
    ),
    "retention": Drawing("sweep", "Share of the unpruned cIoU that each method keeps.", _retention, ("comparisons",)),
    "delta_random": Drawing(
        "sweep", "Paired difference of cIoU to random tokens at the same budget.", _delta, ("comparisons",)
    ),
    "accuracy_kinds": Drawing("sweep", "cIoU by kind of expression at the largest budget.", _kinds, ("kinds",)),
}
