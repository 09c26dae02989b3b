"""Figures of the accuracy sweep: scores by method and token budget, with controls and groups."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.runs.claims import MIN_IMAGES
from litelvlm.analysis.studies.scores import SCORES, main_score
from litelvlm.figures import style
from litelvlm.figures.axes import (
    READINGS,
    WIDER,
    band,
    budget_axis,
    dots,
    error_bars,
    forest,
    legend_beside,
    lines_of,
    literal,
    unpruned_level,
)
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, protocol_note
from litelvlm.names import check_name

LEAST = 0.90
"""Share of the unpruned score that the paper claims to keep."""
ORACLES = ("mask_oracle", "inverse_mask_oracle")
LINES = 10
"""Most methods in one panel; more are spread over panels that repeat ``REFERENCES``."""
REFERENCES = ("none", "random")
STRATA = {"kind": "litelvlm", "size": "uniform", "words": "mask_oracle"}
"""Kinds of group, with the method whose colour each has."""
SIZES = ("small", "medium", "large")
_Draw = Callable[[pd.DataFrame, Axes, Mapping[str, style.Look]], Axes]
RULE = 0.32
"""How far the dot of the paper's own rule lies below that of the released code, in lines."""


def draw_accuracy(
    table: pd.DataFrame,
    metric: str,
    ax: Axes,
    tokens: str = "budget",
    looks: Mapping[str, style.Look] | None = None,
) -> Axes:
    """A score against visual tokens, with interval bands.

    Args:
        table: The summary's table "scores": method, budget, metric, value, low, high, n_kept.
        metric: Name of a score.
        ax: Where to draw; one line per method, dotted for oracles, the unpruned score as a level.
        tokens: "budget", or "n_kept": those that the language model reads.
        looks: Of the lines by method, where other axes show further methods; see ``looks_of``.
    """
    check_name(metric, table["metric"].unique().tolist(), "metric")
    chosen = once(table[table["metric"] == metric])
    unpruned_level(ax, chosen[chosen["method"] == "none"])
    pruned = chosen[chosen["method"] != "none"]
    looks = looks_of(pruned) if looks is None else looks
    for method, line in lines_of(in_order(pruned), "method"):
        band(ax, line, tokens, "value", looks[method])
    budget_axis(ax, pruned[tokens])
    if tokens == "n_kept":
        ax.set(xlabel="visual tokens that the language model reads")
    ax.set(ylabel=SCORES[metric].label)
    return legend_beside(ax)


def draw_retention(
    table: pd.DataFrame,
    ax: Axes,
    least: float = LEAST,
    looks: Mapping[str, style.Look] | None = None,
) -> Axes:
    """Share of the unpruned score that each method keeps, with one-sided 95 % bounds.

    Args:
        table: The summary's table "comparisons": method, budget, metric, reference, retention,
            retention_bound.
        ax: Where to draw; dots are estimates, bars reach down to the bounds.
        least: Share that claims are about.
        looks: Of the lines by method, where other axes show further methods; see ``looks_of``.
    """
    score = main_score(table["metric"])
    chosen = once(table[(table["metric"] == score.name) & (table["reference"] == "none")])
    looks = looks_of(chosen) if looks is None else looks
    for method, line in lines_of(in_order(chosen), "method"):
        ends = "retention_bound", "retention"
        error_bars(ax, line, "budget", "retention", looks[method], ends=ends)
    ax.axhline(least, color=style.MUTED, linewidth=0.8, zorder=0)
    corner, where = (0.01, least), ("axes fraction", "data")
    ax.annotate(f"{100 * least:g} %", corner, xycoords=where, va="top", fontsize=7.5)
    budget_axis(ax, chosen["budget"])
    ax.set(ylabel=f"share of the unpruned {score.label}")
    return legend_beside(ax)


def draw_methods(table: pd.DataFrame, column: str, ax: Axes) -> Axes:
    """One dot with its interval per method.

    Args:
        table: One line per method: method, the column of the dots, low, high.
        column: Of the dots.
        ax: Where to draw.
    """
    names = [style.label(method) for method in table["method"]]
    forest(ax, table, column, names, [style.colour(method) for method in table["method"]])
    return ax


def draw_strata(table: pd.DataFrame, ax: Axes) -> Axes:
    """D2: score minus that of random tokens, by kind of expression, target size and words.

    Args:
        table: Lines of one budget of the summary's table "strata": stratum, group, method, delta,
            low, high, low_categories, high_categories.
        ax: Where to draw; one line per group. The filled dot is the released code, the hollow one
            below it the paper's own rule. A thin line is the wider interval over images and
            categories.
    """
    groups = table[table["method"] == PAPER]
    known = list(zip(groups["stratum"], groups["group"], strict=True))
    for method, offset in ((PAPER, 0.0), (PAPER_RULE, RULE)):
        lines = table[table["method"] == method]
        keys = zip(lines["stratum"], lines["group"], strict=True)
        places = np.array([known.index(key) for key in keys]) + offset
        colours = [style.colour(STRATA[stratum]) for stratum in lines["stratum"]]
        dots(ax, lines, "delta", places, colours, [method == PAPER] * len(lines))
    names = [
        f"{group} target" if stratum == "size" and group in SIZES else literal(str(group))
        for stratum, group in known
    ]
    ax.set_yticks(np.arange(len(names)), names)
    ax.axvline(0.0, color=style.MUTED, linewidth=0.8, zorder=0)
    return ax


def once(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of a table, if each method has one line at each budget.

    Raises:
        ValueError: If one has two, which would be joined as if they were one.
    """
    again = table[table.duplicated(["method", "budget"])]
    if len(again):
        method, budget = again[["method", "budget"]].iloc[0]
        raise ValueError(
            f"{method} at {budget} tokens stands in the table twice; draw the lines of one run "
            "(and of one kind of expression) into each axes"
        )
    return table


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


def enough_images(table: pd.DataFrame) -> pd.DataFrame:
    """Groups that rest on at least 20 images at every budget; all of them if none does."""
    fewest = table.groupby(["stratum", "group"])["n_images"].transform("min")
    large = table[fewest >= MIN_IMAGES]
    return table if large.empty else large


def strata_in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Lines by kind, size from small to large, and words."""
    size = table["group"].map(lambda group: SIZES.index(group) if group in SIZES else len(SIZES))
    place = table["stratum"].map(list(STRATA).index)
    ordered: pd.DataFrame = table.assign(place=place, size=size).sort_values(
        ["place", "size", "group"], kind="stable"
    )
    return ordered.drop(columns=["place", "size"])


def _lines(table: pd.DataFrame, draw: _Draw, title: str) -> Figure:
    groups = panels([method for method, _ in lines_of(in_order(table), "method")])
    columns = min(2, len(groups))
    rows = math.ceil(len(groups) / columns)
    figure = Figure(figsize=style.size(6.4 * columns, 3.6 * rows), layout="constrained")
    places = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    looks = looks_of(table)
    for ax, group in zip(places, groups, strict=False):
        draw(table[table["method"].isin(group)], ax, looks)
    for ax in places[len(groups) :]:
        ax.set_axis_off()
    places[0].set_title(title)
    return figure


def _forests(groups: Sequence[tuple[str, pd.DataFrame]], column: str, title: str) -> Figure:
    """A panel per group with a dot per method, whose names stand once where they are the same."""
    tallest = max(len(lines) for _, lines in groups)
    size = 1.8 + 1.9 * len(groups), 1.3 + 0.2 * tallest
    figure, places = style.new_panels(len(groups), *size, sharex=True)
    first = list(groups[0][1]["method"])
    for ax, (name, lines) in zip(places, groups, strict=True):
        draw_methods(lines, column, ax).set_title(literal(name), fontsize="medium")
        if ax is not places[0] and list(lines["method"]) == first:
            ax.set_yticklabels([])
    style.heading(figure, title)
    return figure


def least_kept(run: Saved) -> float:
    """Share of the unpruned score that the claims of a run are about."""
    return next((claim.null for claim in run.summary.claims if claim.id == "H8"), LEAST)


def looks_of(table: pd.DataFrame) -> dict[str, style.Look]:
    """How the lines of a table look, by method: dotted for oracles, apart for variants."""
    return style.looks(in_order(table)["method"], dict.fromkeys(ORACLES, ":"))


def compared_with(reference: str, run: Saved) -> bool:
    """Whether a sweep has lines against a reference: "none" or "random"."""
    table = run.table("comparisons")
    return not table.empty and bool((table["reference"] == reference).any())


def _accuracy(run: Saved, metric: str, tokens: str = "budget") -> RenderedFigure:
    table = run.table("scores")
    title = run.title(f"{SCORES[metric].label} against visual tokens")
    figure = _lines(table, lambda t, ax, looks: draw_accuracy(t, metric, ax, tokens, looks), title)
    what = "bands: 95 % intervals from resampling images; oracles read the true mask"
    return RenderedFigure(figure, protocol_note(run, table, what))


def of_clips(run: Saved) -> bool:
    """Whether a sweep scored the frames of clips."""
    return bool((run.table("scores")["metric"] == "jf").any())


@Drawing("sweep", ("scores",), drawable=of_clips, opens=2)
def accuracy_jf(run: Saved) -> RenderedFigure:
    """The J&F of clips against the visual tokens that the language model reads, by method."""
    return _accuracy(run, "jf", "n_kept")


@Drawing("sweep", ("scores",), opens=2)
def accuracy_ciou(run: Saved) -> RenderedFigure:
    """The cIoU against visual tokens, by method."""
    return _accuracy(run, "ciou")


@Drawing("sweep", ("scores",))
def accuracy_giou(run: Saved) -> RenderedFigure:
    """The gIoU against visual tokens, by method."""
    return _accuracy(run, "giou")


@Drawing("sweep", ("comparisons",), drawable=partial(compared_with, "none"))
def retention(run: Saved) -> RenderedFigure:
    """Share of the unpruned score that each method keeps: cIoU of images, J&F of clips."""
    table, least = run.table("comparisons"), least_kept(run)
    title = run.title("How much of the unpruned score is kept?")
    figure = _lines(table, lambda t, ax, looks: draw_retention(t, ax, least, looks), title)
    what = "bars: one-sided 95 % lower bounds, paired, from resampling images"
    return RenderedFigure(figure, protocol_note(run, table, what))


@Drawing("sweep", ("comparisons",), drawable=partial(compared_with, "random"))
def delta_random(run: Saved) -> RenderedFigure:
    """Paired difference to random tokens at the same budget: cIoU of images, J&F of clips."""
    table = run.table("comparisons")
    score = main_score(table["metric"])
    lines = in_order(table[(table["metric"] == score.name) & (table["reference"] == "random")])
    budgets = sorted(lines["budget"].unique(), reverse=True)
    groups = [(f"{budget} tokens", lines[lines["budget"] == budget]) for budget in budgets]
    figure = _forests(groups, "delta", run.title("Better than random tokens?"))
    figure.supxlabel(
        f"{score.label} minus that of random tokens at the same budget", fontsize="medium"
    )
    what = f"95 % intervals, paired, from resampling images; {WIDER}"
    return RenderedFigure(figure, protocol_note(run, lines, what))


@Drawing("sweep", ("kinds",))
def accuracy_kinds(run: Saved) -> RenderedFigure:
    """The cIoU, of clips J&F, by kind of expression at the largest budget."""
    table = run.table("kinds")
    score = main_score(table["metric"])
    chosen = table[table["metric"] == score.name]
    most = chosen.groupby("method")["budget"].transform("max")
    lines = in_order(chosen[chosen["budget"] == most])
    groups = [(kind, lines[lines["kind"] == kind]) for kind in sorted(lines["kind"].unique())]
    budgets = " or ".join(map(str, sorted(lines["budget"].unique())))
    title = run.title(f"{score.label} by kind of expression, {budgets} tokens")
    figure = _forests(groups, "value", title)
    figure.axes[0].set(xlim=(0, 1), xticks=(0, 0.5, 1))
    figure.supxlabel(score.label, fontsize="medium")
    return RenderedFigure(figure, protocol_note(run, lines))


@Drawing("sweep", ("strata", "scores"))
def ablation_strata(run: Saved) -> RenderedFigure:
    """The cIoU, of clips J&F, minus that of random tokens, by kind, size and number of words."""
    table = run.table("strata")
    shown = strata_in_order(enough_images(table))
    budgets = sorted(shown["budget"].unique(), reverse=True)
    groups = len(shown[["stratum", "group"]].drop_duplicates())
    size = style.PAGE, 1.3 + 0.24 * groups
    figure, axes = style.new_panels(len(budgets), *size, sharex=True, sharey=True)
    for ax, budget in zip(axes, budgets, strict=True):
        draw_strata(shown[shown["budget"] == budget], ax).set_title(
            f"{budget} tokens", fontsize="medium"
        )
    axes[0].set_ylim(groups - 0.4, -0.5)
    label = main_score(run.table("scores")["metric"]).label
    figure.supxlabel(f"{label} of LiteLVLM minus that of random tokens", fontsize="medium")
    style.heading(figure, run.title("Where does LiteLVLM beat random tokens?"))
    what = f"per group; {READINGS}; 95 % intervals, paired, from resampling images; {WIDER}"
    if len(shown) < len(table):
        n_excluded = len(table[["stratum", "group"]].drop_duplicates()) - groups
        what += f"; groups with fewer than {MIN_IMAGES} images left out: {n_excluded}"
    return RenderedFigure(figure, protocol_note(run, shown, what))


DRAWINGS = (
    accuracy_jf,
    accuracy_ciou,
    accuracy_giou,
    retention,
    delta_random,
    accuracy_kinds,
    ablation_strata,
)
