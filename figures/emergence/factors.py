"""What conditions of training do to sink and reversal, every training as a point."""

import re
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest, legend_beside
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

COLOURS = {
    "sink": "high_similarity",
    "reversal": "litelvlm",
    "reversal_true": "inverse_mask_oracle",
}
"""Outcome to the method whose colour it has."""
STAGES = {
    "A": style.look("high_similarity", "text towers, bags of objects"),
    "B": style.look("litelvlm", "image towers, symbols"),
    "C": style.look("random", "symbols, one factor at a time"),
    "D": style.look("mask_oracle", "pixels, one factor at a time"),
}
"""How each stage is drawn."""
ALONE = ("C", "D")
"""Stages that change one factor at a time."""
LABELS = {
    "sink": "log lift on [SOS] (0: uniform attention)",
    "reversal": "reversal index, true minus absent text",
    "reversal_true": "reversal index of the true text",
    "index": "reversal index of the true text",
    "gain": "IoU minus that of random tokens",
    "largest_layer_uninformative": "largest lift of a layer, texts without content",
}
INTERVALS = "95 % t intervals over trainings"
CHANGES = {
    "sink": "change of the log lift on [SOS]",
    "reversal": "change of the difference\n(index of the true minus absent text)",
    "reversal_true": "change of the index\nof the true text",
}
"""Outcome to what its axis says."""
WIDTH = 44
"""Characters of a line."""


def colour_of(outcome: str) -> str:
    """Colour of an outcome."""
    return style.colour(COLOURS[outcome])


def counted(count: int, what: str = INTERVALS) -> str:
    """The note below a figure: how many trainings, and what is drawn of them."""
    return f"n = {count} trainings; {what}."


def cell_label(cell: str) -> str:
    """What a cell of the trainings changes, with values where the cell names them.

    Example:
        >>> cell_label("text_depth-8"), cell_label("scope-object_filler-20")
        ('text depth 8', 'scope object + filler 20')
        >>> cell_label("pooling+registers")
        'pooling + registers'
    """
    changes = re.findall(r"([a-z]\w*?)-([^_]+)", cell)
    names = [f"{name.strip('_')} {value}" for name, value in changes] or cell.split("+")
    # A line is not broken inside a condition.
    joined = " + ".join(name.replace("_", " ").replace(" ", "\N{NO-BREAK SPACE}") for name in names)
    return fill(joined, WIDTH).replace("\N{NO-BREAK SPACE}", " ")


def changes_from_base(table: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """One outcome of each training minus that of the base with the same seed.

    Args:
        table: Lines of the table "outcomes" of one stage that changes one factor at a time.
        outcome: Column of the values.

    Returns:
        Columns cell, change and learned; trainings without a base of their seed are left out.
    """
    base = table[table["cell"] == "base"].set_index("seed")[outcome]
    others = table[table["cell"] != "base"]
    change = others[outcome] - others["seed"].map(base)
    return others[["cell", "learned"]].assign(change=change).dropna(subset=["change"])


def draw_cells(table: pd.DataFrame, outcome: str, ax: Axes, order: list[str] | None = None) -> Axes:
    """What each change of condition does to one outcome, every training as a point.

    Args:
        table: Lines of the table "outcomes" of one stage that changes one factor at a time.
        outcome: Of ``CHANGES``.
        ax: Where to draw; a line per changed condition with the number of its trainings, bars are
            means and hollow points did not learn to find categories.
        order: Conditions from the lowest line to the highest; in the order of their means if left
            out.
    """
    found = changes_from_base(table, outcome)
    means = found.groupby("cell")["change"].mean().sort_values(kind="stable")
    means = means if order is None else means.reindex(order)
    colour = colour_of(outcome)
    for place, (cell, mean) in enumerate(means.items()):
        part = found[found["cell"] == cell]
        faces = [colour if learned else "white" for learned in part["learned"]]
        heights = np.full(len(part), float(place))
        ax.scatter(part["change"], heights, c=faces, edgecolors=colour, s=14, linewidths=0.7)
        ax.vlines(mean, place - 0.35, place + 0.35, colors=style.INK, linewidth=1.4)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    counts = found.groupby("cell").size().reindex(means.index)
    names = [f"{cell_label(str(cell))} ({n})" for cell, n in counts.items()]
    ax.set_yticks(range(len(means)), names)
    ax.set_ylim(-0.7, len(means) - 0.3)
    ax.set_xlabel(CHANGES[outcome])
    return ax


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
    forest(ax, chosen, "effect", names, colours, filled=filled)
    for outcome in dict.fromkeys(chosen["outcome"]):
        ax.scatter([], [], color=colour_of(outcome), s=18, label=f"on the {outcome}")
    ax.set_xlabel("effect on log lift, or on the reversal index")
    return legend_beside(ax)


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


def _alone(run: Saved) -> list[str]:
    """Stages of a run that change one factor at a time."""
    return [stage for stage in ALONE if stage in set(run.table("outcomes")["stage"])]


@Drawing("emergence", ("effects",))
def emergence_effects(run: Saved) -> RenderedFigure:
    """Effect of every condition that was settled beforehand on sink and reversal."""
    table = run.table("effects")
    settled = table[table["confirmatory"]]
    figure, ax = style.new_figure(6.4, 1.2 + 0.28 * len(settled))
    draw_effects(table, ax).set_title(run.title("What moves the sink and the reversal"))
    count = " to ".join(dict.fromkeys(str(n) for n in settled["n"].agg(["min", "max"])))
    note = "filled: p <= 0.05 after Holm over all effects settled beforehand"
    return RenderedFigure(figure, f"n = {count} trainings; {INTERVALS}; {note}.")


@Drawing("emergence", ("outcomes",), drawable=lambda run: bool(_alone(run)))
def emergence_cells(run: Saved) -> RenderedFigure:
    """Change of sink, difference and index when one condition differs from the base."""
    table = run.table("outcomes")
    table = table[table["stage"] == _alone(run)[0]]
    found = changes_from_base(table, "reversal").groupby("cell")["change"].mean()
    order = [str(cell) for cell in found.sort_values(kind="stable").index]
    figure, axes = style.new_panels(3, 9.6, 1.8 + 0.26 * len(order), sharey=True)
    for ax, outcome in zip(axes, COLOURS, strict=True):
        draw_cells(table, outcome, ax, order)
    axes[0].set_title(run.title("Conditions changed against the base"))
    note = (
        "points are trainings minus the base of their seed (number in brackets), bars means; "
        "hollow: did not learn"
    )
    return RenderedFigure(figure, counted(int((table["cell"] != "base").sum()), note))


DRAWINGS = (emergence_effects, emergence_cells)
