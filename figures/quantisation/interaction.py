"""Figure of the quantisation study: what pruning costs in each precision, and their interaction."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import budget_axis, forest, lines_of
from litelvlm.figures.quantisation.precisions import PRECISIONS
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note


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


DRAWINGS = {
    "quantisation_interaction": Drawing(
        "quantisation",
        "What pruning and fewer bits cost together, beyond the sum of both.",
        _interaction,
        ("scores", "interactions"),
    ),
}
