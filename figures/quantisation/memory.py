"""Figure of the quantisation study: bytes by component."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.quantisation.precisions import PRECISIONS
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

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
    "quantisation_memory": Drawing(
        "quantisation",
        "Bytes by component in each precision, unpruned and pruned.",
        _memory,
        ("memory",),
    ),
}
