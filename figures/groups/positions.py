"""Accuracy by the positions that kept tokens take: closed up, their own, or stretched."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.analysis.inputs.methods import Method
from litelvlm.figures import style
from litelvlm.figures.axes import budget_axis
from litelvlm.figures.labels.methods import method_name
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, protocol_note
from litelvlm.pruning.registry import list_pruners

POLICIES = ("contiguous", "original", "stretch")
"""Positions of the language model that kept tokens can take, in the order of legends."""
LABELS = {
    "contiguous": "renumbered (contiguous)",
    "original": "their own (original)",
    "stretch": "renumbered over the whole span (stretch)",
}
STYLES = {"contiguous": ("-", "o"), "original": ("--", "s"), "stretch": (":", "^")}


def with_positions(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of methods that a sweep ran at several positions.

    Args:
        table: The summary's table "scores", whose column ``method`` holds labels.

    Returns:
        The same lines with columns ``base`` (the label without its positions) and ``positions``;
        only methods with two policies or more.
    """
    known = list_pruners()
    labels = [
        label
        for label in table["method"].unique()
        if label != "none" and method_name(label) in known
    ]
    parsed = {label: Method.parse(label) for label in labels}
    policies = {label: method.pruner().positions for label, method in parsed.items()}
    bases = {
        label: method.model_copy(
            update={"fields": {k: v for k, v in method.fields.items() if k != "positions"}}
        ).label
        for label, method in parsed.items()
    }
    lines = table[table["method"].isin(labels)]
    lines = lines.assign(base=lines["method"].map(bases), positions=lines["method"].map(policies))
    several = lines.groupby("base")["positions"].transform("nunique") > 1
    return lines[several]


def draw_positions(lines: pd.DataFrame, whole: pd.DataFrame, ax: Axes) -> Axes:
    """Draw cIoU of one method against the token budget, a line per policy.

    Args:
        lines: Of one ``base`` of ``with_positions``, cIoU alone: budget, positions, value, low,
            high.
        whole: The line of the unpruned model.
        ax: Where to draw; bars are intervals, points of one budget stand beside each other.
    """
    for value in whole["value"]:
        ax.axhline(value, color=style.colour("none"), linewidth=1, label=style.label("none"))
    colour = style.colour(str(lines["method"].iloc[0]))
    for place, policy in enumerate(POLICIES):
        line = lines[lines["positions"] == policy].sort_values("budget")
        if line.empty:
            continue
        dashes, mark = STYLES[policy]
        ax.errorbar(
            line["budget"] * 1.05 ** (place - 1),
            line["value"],
            yerr=[line["value"] - line["low"], line["high"] - line["value"]],
            color=colour,
            alpha=1 - 0.25 * place,
            linestyle=dashes,
            marker=mark,
            markersize=4.5,
            linewidth=1.2,
            capsize=2,
            label=LABELS[policy],
        )
    budget_axis(ax, lines["budget"])
    return ax


def has_positions(run: Saved) -> bool:
    """Whether a sweep ran a method at several positions."""
    return not with_positions(run.table("scores")).empty


def _positions(run: Saved) -> RenderedFigure:
    table = run.table("scores")
    scores = table[table["metric"] == "ciou"]
    lines, whole = with_positions(scores), scores[scores["method"] == "none"]
    bases = sorted(lines["base"].unique(), key=style.rank)
    figure = Figure(figsize=(1.8 + 2.9 * len(bases), 3.6), layout="constrained")
    places = figure.subplots(1, len(bases), sharey=True, squeeze=False)[0]
    for ax, base in zip(places, bases, strict=True):
        draw_positions(lines[lines["base"] == base], whole, ax)
        ax.set_title(style.label(base), fontsize=9)
    places[0].set(ylabel="cIoU")
    places[-1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(run.title("Does it matter where kept tokens stand?"), x=0.01, ha="left")
    return RenderedFigure(
        figure, protocol_note(run, scores, "bars: 95 % intervals from resampling images")
    )


DRAWINGS = {
    "accuracy_positions": Drawing(
        "sweep",
        "cIoU by the positions that kept tokens take in the language model.",
        _positions,
        ("scores",),
        drawable=has_positions,
    )
}
