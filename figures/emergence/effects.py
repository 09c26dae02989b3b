"""Effects of the factors that were settled beforehand."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest
from litelvlm.figures.emergence.stages import INTERVALS, colour_of
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved


def draw_effects(table: pd.DataFrame, ax: Axes) -> Axes:
    """Effect of each factor that was settled before any training, with its interval.

    Args:
        table: The summary's table "effects": stage, factor, outcome, levels, effect, low, high,
            confirmatory, p_holm.
        ax: Where to draw; filled dots have a Holm-adjusted p of at most 0.05.
    """
    chosen = table[table["confirmatory"]].reset_index(drop=True)
    parts = (chosen[name].astype(str) for name in ("factor", "low_level", "high_level"))
    names = [
        f"{factor.replace('_', ' ')}: {low} to {high}"
        for factor, low, high in zip(*parts, strict=True)
    ]
    colours = [colour_of(outcome) for outcome in chosen["outcome"]]
    filled = (chosen["p_holm"] <= 0.05).tolist()
    forest(ax, chosen, "effect", names, colours, 0.0, filled)
    for outcome in dict.fromkeys(chosen["outcome"]):
        ax.scatter([], [], color=colour_of(outcome), s=18, label=f"on the {outcome}")
    ax.set_xlabel("effect on log lift, or on the reversal index")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _effects(run: Saved) -> RenderedFigure:
    table = run.table("effects")
    settled = table[table["confirmatory"]]
    figure, ax = style.new_figure(6.4, 1.2 + 0.28 * len(settled))
    draw_effects(table, ax).set_title(run.title("What moves the sink and the reversal"))
    count = " to ".join(dict.fromkeys(str(n) for n in settled["n"].agg(["min", "max"])))
    note = "filled: p <= 0.05 after Holm over all effects settled beforehand"
    return RenderedFigure(figure, f"n = {count} trainings; {INTERVALS}; {note}.")


DRAWINGS = {
    "emergence_effects": Drawing(
        "emergence",
        "Effect of every condition that was settled beforehand on sink and reversal.",
        _effects,
        ("effects",),
    ),
}
