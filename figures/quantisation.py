"""Figures of the quantisation study: what pruning and fewer bits cost together, and bytes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import budget_axis, forest, lines_of
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

PRECISIONS = {
    "none": ("all bits", "#1b1b1b", "o"),
    "int8": ("int8", "#0072B2", "s"),
    "nf4": ("NF4", "#D55E00", "^"),
    "nf4_double": ("NF4, scales in 8 bits", "#CC79A7", "v"),
    "fp4": ("FP4", "#009E73", "D"),
}
"""Name, colour and marker of each precision."""
COMPONENTS = {
    "language_model": ("language model", "#D55E00"),
    "language_head": ("its head", "#E69F00"),
    "visual_kv": ("keys and values of visual tokens", "#1b1b1b"),
    "clip": ("CLIP", "#56B4E9"),
    "sam": ("SAM", "#0072B2"),
    "projector": ("projector", "#009E73"),
    "seg_head": ("seg head", "#CC79A7"),
}
"""Name and colour of each component, in the order in which bars are stacked."""


def draw_scores(table: pd.DataFrame, method: str, ax: Axes) -> Axes:
    """Draw cIoU against the budget, one line per precision; at the right end nothing is pruned.

    Args:
        table: The summary's table "scores": precision, method, budget, metric, value, low, high.
        method: Whose lines to draw.
        ax: Where to draw.
    """
    chosen = table[(table["metric"] == "ciou") & table["method"].isin([method, "none"])]
    for precision, line in lines_of(chosen, "precision"):
        name, colour, marker = PRECISIONS[precision]
        line = line.sort_values("budget")
        ax.plot(
            line["budget"], line["value"], color=colour, marker=marker, markersize=4, label=name
        )
        ax.fill_between(
            line["budget"], line["low"], line["high"], color=colour, alpha=0.1, linewidth=0
        )
    budget_axis(ax, chosen["budget"])
    ax.set(ylabel="cIoU")
    ax.legend(loc="lower right", title=style.label(method))
    return ax


def draw_interactions(table: pd.DataFrame, ax: Axes) -> Axes:
    """One dot with its widest interval per method, budget and precision; filled after Holm.

    Args:
        table: The summary's table "interactions", lines in the order in which they are shown.
        ax: Where to draw.
    """
    known = np.isfinite(table["low_categories"].to_numpy(dtype=np.float64))
    ends = {end: table[f"{end}_categories"].where(known, table[end]) for end in ("low", "high")}
    names = [
        f"{style.label(method)}, {budget}, {PRECISIONS[precision][0]}"
        for precision, method, budget in zip(
            table["precision"], table["method"], table["budget"], strict=True
        )
    ]
    colours = [PRECISIONS[precision][1] for precision in table["precision"]]
    filled = (table["p_holm"] <= 0.05).tolist()
    forest(ax, table.assign(**ends), "interaction", names, colours, null=0.0, filled=filled)
    ax.set(xlabel="loss of both − sum of the two losses, in cIoU", ylabel="")
    return ax


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Interactions by method in the order of legends, then budget from large to small, precision.

    Args:
        table: The summary's table "interactions".
    """
    place = table["precision"].map(list(PRECISIONS).index)
    keys = pd.DataFrame({"m": table["method"].map(style.rank), "b": -table["budget"], "p": place})
    return table.loc[keys.sort_values(["m", "b", "p"], kind="stable").index]


def _interaction(run: Saved) -> RenderedFigure:
    lines = in_order(run.table("interactions"))
    figure, (left, right) = style.new_panels(2, 9.6, max(3.6, 1.2 + 0.16 * len(lines)))
    draw_scores(run.table("scores"), str(lines["method"].iloc[0]), left)
    draw_interactions(lines, right)
    right.tick_params(axis="y", labelsize=7)
    left.set_title(run.title("Does pruning cost more with fewer bits?"))
    what = (
        "bands: 95 % intervals from resampling images; bars: over images, and categories too where "
        "the data state three or more; filled: p below 0.05 after Holm's adjustment"
    )
    return RenderedFigure(figure, sample_note(lines, what))


def draw_memory(table: pd.DataFrame, ax: Axes) -> Axes:
    """Stacked bytes by component: each precision unpruned and at its smallest budget.

    Args:
        table: The summary's table "memory": precision, budget, component, bytes.
        ax: Where to draw, one bar per precision and budget.
    """
    budgets = sorted(set(table["budget"]))
    shown = [
        (precision, budget)
        for precision in dict.fromkeys(table["precision"])
        for budget in (budgets[-1], budgets[0])
    ]
    wide = table.set_index(["component", "precision", "budget"])["bytes"] / 1e6
    left = np.zeros(len(shown))
    for component, (name, colour) in COMPONENTS.items():
        sizes = np.array([wide[component, precision, budget] for precision, budget in shown])
        ax.barh(np.arange(len(shown)), sizes, left=left, color=colour, label=name, height=0.7)
        left += sizes
    ax.set_yticks(
        np.arange(len(shown)),
        [f"{PRECISIONS[precision][0]}, {budget} tokens" for precision, budget in shown],
    )
    ax.invert_yaxis()
    ax.set(xlabel="MB")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _memory(run: Saved) -> RenderedFigure:
    figure, ax = style.new_figure(7.6, 3.2)
    draw_memory(run.table("memory"), ax)
    ax.set_title(run.title("What do weights and visual tokens take?"))
    note = (
        "Bytes of weights, and of keys and values of one image's visual tokens; activations and "
        "the text's keys and values are not counted. Counted, so without intervals."
    )
    return RenderedFigure(figure, note)


DRAWINGS = {
    "quantisation_interaction": Drawing(
        "quantisation",
        "What pruning and fewer bits cost together, beyond the sum of both.",
        _interaction,
        ("scores", "interactions"),
    ),
    "quantisation_memory": Drawing(
        "quantisation",
        "Bytes by component in each precision, unpruned and pruned.",
        _memory,
        ("memory",),
    ),
}
