"""Effects of the factors that were settled beforehand, and every training behind them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest
from litelvlm.figures.emergence.stages import INTERVALS, LABELS, colour_of
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


def draw_points(table: pd.DataFrame, effects: pd.DataFrame, ax: Axes) -> Axes:
    """One outcome at both levels of each factor, every training as a point, means as bars.

    Args:
        table: The summary's table "outcomes".
        effects: Lines of the table "effects" of one stage and outcome.
        ax: Where to draw; hollow points did not learn to find categories.
    """
    stage, outcome = str(effects["stage"].iloc[0]), str(effects["outcome"].iloc[0])
    part = table[table["stage"] == stage]
    colour = colour_of(outcome)
    ticks, names = [], []
    levels = (effects[name].astype(str) for name in ("factor", "low_level", "high_level"))
    for place, (factor, *both) in enumerate(zip(*levels, strict=True)):
        for side, level in enumerate(both):
            group = part[part[factor].astype(str) == level]
            x = 3.4 * place + 1.4 * side
            spread = np.linspace(-0.4, 0.4, len(group)) if len(group) > 1 else np.zeros(len(group))
            faces = [colour if learned else "white" for learned in group["learned"]]
            ax.scatter(x + spread, group[outcome], c=faces, edgecolors=colour, s=12, linewidths=0.7)
            ax.hlines(group[outcome].mean(), x - 0.5, x + 0.5, colors=style.INK, linewidth=1.4)
            ticks.append(x)
            names.append(f"{factor.replace('_', ' ')}\n{level}" if side == 0 else f"\n{level}")
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xticks(ticks, names)
    ax.set_ylabel(LABELS[outcome])
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
