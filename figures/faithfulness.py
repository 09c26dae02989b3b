"""Figures of the faithfulness study: the mask as tokens are added or removed in ranked order."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.signals.targets import main_target
from litelvlm.figures import style
from litelvlm.figures.axes import band
from litelvlm.figures.importance import SCORES, SIGNALS
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

RANKINGS = {
    "low_similarity": ("reversed similarity", "low_similarity"),
    "low_input_similarity": (SCORES["low_input_similarity"], "low_similarity"),
    "high_similarity": ("highest similarity", "high_similarity"),
    "context": (SCORES["context"], "value_norm"),
    "random": ("random", "random"),
    "coverage": (SCORES["coverage"], "mask_oracle"),
    "attention_middle": (SIGNALS[("attention_middle", "")][0], "litelvlm"),
    "leave_one_out": (SIGNALS[("leave_one_out", "drop")][0], "inverse_mask_oracle"),
}
"""Rankings that are drawn: name, and the method whose colour and marker it has."""
WORDS = {
    "insertion": "tokens kept, highest rank first",
    "deletion": "tokens removed, highest rank first",
}


def draw_curve(table: pd.DataFrame, curve: str, ax: Axes) -> Axes:
    """Mean target as tokens are added or removed in the order of each ranking.

    The target is what the model's kind of answer is measured by.

    Args:
        table: The summary's table "curves": ranking, target, curve, k, value, low, high.
        curve: "insertion" or "deletion".
        ax: Where to draw; one line with a band per ranking.
    """
    target = main_target(table["target"])
    chosen = table[(table["curve"] == curve) & (table["target"] == target)]
    for ranking, (label, method) in RANKINGS.items():
        line = chosen[chosen["ranking"] == ranking]
        band(ax, line, "k", "value", style.look(method, label))
    ax.set(xlabel=WORDS[curve], ylabel=f"mean {target.replace('_', ' ')}")
    return ax


@Drawing("faithfulness", ("curves",))
def faithfulness_curves(run: Saved) -> RenderedFigure:
    """What is left of the full answer as tokens are added or removed in ranked order."""
    table = run.table("curves")
    figure, (left, right) = style.new_panels(2, 8.6, 3.6, sharey=True)
    draw_curve(table, "insertion", left).legend(loc="lower right")
    draw_curve(table, "deletion", right)
    style.heading(figure, run.title("Adding and removing tokens in ranked order"))
    return RenderedFigure(figure, sample_note(table))


DRAWINGS = (faithfulness_curves,)
