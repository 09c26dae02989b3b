"""Figures of the quantisation study: what pruning and fewer bits cost together, and bytes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.studies.scores import MAIN
from litelvlm.figures import style
from litelvlm.figures.axes import band, budget_axis, forest, lines_of, stacked
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note
from litelvlm.figures.style import Look

PRECISIONS = {
    "none": Look("#1b1b1b", "o", "-", "all bits"),
    "int8": Look("#0072B2", "s", "-", "int8"),
    "nf4": Look("#D55E00", "^", "-", "NF4"),
    "nf4_double": Look("#CC79A7", "v", "-", "NF4, scales in 8 bits"),
    "fp4": Look("#009E73", "D", "-", "FP4"),
}
"""How the line of each precision is drawn."""
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
    chosen = table[(table["metric"] == MAIN.name) & table["method"].isin([method, "none"])]
    for precision, line in lines_of(chosen, "precision"):
        band(ax, line, "budget", "value", PRECISIONS[precision])
    budget_axis(ax, chosen["budget"])
    ax.set(ylabel=MAIN.label)
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
    looks = [PRECISIONS[precision] for precision in table["precision"]]
    parts = zip(table["method"], table["budget"], looks, strict=True)
    names = [f"{style.label(method)}, {budget}, {look.label}" for method, budget, look in parts]
    filled = (table["p_holm"] <= 0.05).tolist()
    colours = [look.colour for look in looks]
    forest(ax, table.assign(**ends), "interaction", names, colours, filled=filled)
    ax.set(xlabel=f"loss of both − sum of the two losses, in {MAIN.label}")
    return ax


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Interactions by method in the order of legends, then budget from large to small, precision.

    Args:
        table: The summary's table "interactions".
    """
    place = table["precision"].map(list(PRECISIONS).index)
    keys = pd.DataFrame({"m": table["method"].map(style.rank), "b": -table["budget"], "p": place})
    return table.loc[keys.sort_values(["m", "b", "p"], kind="stable").index]


def draw_memory(table: pd.DataFrame, ax: Axes) -> Axes:
    """Stacked bytes by component: each precision unpruned and at its smallest budget.

    Args:
        table: The summary's table "memory": precision, budget, component, bytes.
        ax: Where to draw, one bar per precision and budget.
    """
    ends = [table["budget"].max(), table["budget"].min()]
    bars = [(one, budget) for one in dict.fromkeys(table["precision"]) for budget in ends]
    wide = table.pivot(index=["precision", "budget"], columns="component", values="bytes") / 1e6
    parts = wide.loc[bars][list(COMPONENTS)].rename(columns=lambda name: COMPONENTS[name][0])
    names = [f"{PRECISIONS[one].label}, {budget} tokens" for one, budget in bars]
    ax.set(xlabel="MB")
    return stacked(ax, parts, names, [colour for _, colour in COMPONENTS.values()])


@Drawing("quantisation", ("scores", "interactions"))
def quantisation_interaction(run: Saved) -> RenderedFigure:
    """What pruning and fewer bits cost together, beyond the sum of both."""
    lines = in_order(run.table("interactions"))
    figure, (left, right) = style.new_panels(2, 9.6, max(3.6, 1.2 + 0.16 * len(lines)))
    draw_scores(run.table("scores"), str(lines["method"].iloc[0]), left)
    draw_interactions(lines, right).tick_params(axis="y", labelsize=7)
    left.set_title(run.title("Does pruning cost more with fewer bits?"))
    what = (
        "bands: 95 % intervals from resampling images; bars: over images, and categories too where "
        "the data state three or more; filled: p below 0.05 after Holm's adjustment"
    )
    return RenderedFigure(figure, sample_note(lines, what))


@Drawing("quantisation", ("memory",))
def quantisation_memory(run: Saved) -> RenderedFigure:
    """Bytes by component in each precision, unpruned and pruned."""
    figure, ax = style.new_figure(7.6, 3.2)
    draw_memory(run.table("memory"), ax)
    ax.set_title(run.title("What do weights and visual tokens take?"))
    note = (
        "Bytes of weights, and of keys and values of the visual tokens of an image; activations "
        "and the text's keys and values are not counted. Counted, so without intervals."
    )
    return RenderedFigure(figure, note)


DRAWINGS = (quantisation_interaction, quantisation_memory)
