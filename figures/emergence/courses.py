"""How sink and reversal come in the course of a training, and where the sign turns."""

from fractions import Fraction

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.emergence.stages import LABELS, counted
from litelvlm.figures.labels.conditions import cell_label
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

KINDS = {
    "bags": ("bags of objects (stage A)", "uniform"),
    "class": ("class token, no helper", "litelvlm"),
    "joined": ("one object, filler and half uninformative", "vispruner"),
    "mean": ("mean pooling", "high_similarity"),
    "helper": ("dense helper", "mask_oracle"),
    "made": ("a sink made on purpose", "none"),
}
"""Kinds of conditions, each with its name and the method whose colour it has."""
JOINED = "scope-object_filler-20_uninformative-0.5"
TRAJECTORIES = ("sink", "reversal", "largest_layer_uninformative", "reversal_true")


def kinds(table: pd.DataFrame) -> "pd.Series[str]":
    """Kind of condition of each line of the table "trajectories"; see ``KINDS``."""
    conditions = [
        table["stage"] == "A",
        table["sos_loss"] > 0,
        table["helper"] > 0,
        table["pooling"] == "mean",
        table["cell"] == JOINED,
    ]
    names = ["bags", "made", "helper", "mean", "joined"]
    return pd.Series(np.select(conditions, names, "class"), index=table.index)


def draw_trajectories(table: pd.DataFrame, outcome: str, ax: Axes) -> Axes:
    """One outcome over the course of each training.

    Args:
        table: The summary's table "trajectories"; a training that two stages have is drawn once.
        outcome: Column of the values.
        ax: Where to draw; a thin line per training, the mean of each kind of condition thick.
    """
    known = table[~table["repeated"]].dropna(subset=[outcome])
    known = known.assign(share=known["share"].map(_eighth))
    for kind, part in known.groupby(kinds(known)):
        name, method = KINDS[str(kind)]
        colour = style.colour(method)
        for _, line in part.groupby("training"):
            ax.plot(line["share"], line[outcome], color=colour, linewidth=0.4, alpha=0.3)
        mean = part.groupby("share")[outcome].mean()
        count = part["training"].nunique()
        ax.plot(mean.index, mean, color=colour, linewidth=2, label=f"{name} ({count})")
    if outcome.startswith("largest"):
        ax.set_yscale("log")
    even = 1 if outcome.startswith("largest") else 0
    ax.axhline(even, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel="share of the training", ylabel=LABELS[outcome])
    return ax


def draw_signs(table: pd.DataFrame, ax: Axes, limit: float | None = None, bar: bool = True) -> Axes:
    """Reversal that follows the text, by training and step: where its sign turns.

    Args:
        table: The summary's table "trajectories"; a training that two stages have is drawn once.
        ax: Where to draw; one line per training. Lines of one condition stand together, ordered by
            their last value, and conditions by the mean of theirs.
        limit: Value of the darkest red, and of the darkest blue below 0; the largest if left out.
        bar: Whether to draw the bar of colours.
    """
    known = table[~table["repeated"]].dropna(subset=["reversal"])
    known = known.assign(share=known["share"].map(_eighth))
    wide = known.pivot(index=["cell", "training"], columns="share", values="reversal")
    last = wide[wide.columns[-1]]
    means = last.groupby("cell").transform("mean")
    cells = wide.index.get_level_values("cell")
    order = np.lexsort([-last.to_numpy(), cells.to_numpy(), -means.to_numpy()])
    wide, cells = wide.iloc[order], cells[order]
    far = limit or float(wide.abs().max().max()) or 1.0
    image = ax.imshow(wide.to_numpy(dtype=float), cmap="RdBu_r", vmin=-far, vmax=far, aspect="auto")
    ax.set_xticks(range(wide.shape[1]), [str(Fraction(share)) for share in wide.columns])
    starts = [
        place for place in range(len(cells)) if place == 0 or cells[place] != cells[place - 1]
    ]
    for start in starts[1:]:
        ax.axhline(start - 0.5, color=style.INK, linewidth=0.4)
    ends = [*starts[1:], len(cells)]
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    ax.set_yticks(middles, [cell_label(str(cells[start])) for start in starts])
    ax.tick_params(axis="y", length=0, labelsize=7)
    if bar:
        extend = "both" if far < float(wide.abs().max().max()) else "neither"
        ax.figure.colorbar(image, ax=ax, label=LABELS["reversal"], shrink=0.5, extend=extend)
    ax.set_xlabel("share of the training")
    return ax


def _eighth(share: float) -> float:
    """The eighth of a training that a kept step stands for: steps are whole numbers."""
    return round(8 * share) / 8


def _trajectories(run: Saved) -> RenderedFigure:
    table = run.table("trajectories")
    figure, _ = style.new_figure(9.6, 7.2)
    figure.clear()
    for ax, outcome in zip(figure.subplots(2, 2).flat, TRAJECTORIES, strict=True):
        draw_trajectories(table, outcome, ax)
    figure.axes[0].set_title(run.title("From the first step to the last"))
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    count = table.loc[~table["repeated"], "training"].nunique()
    note = "thin lines are trainings, thick ones means of a kind of condition (number in brackets)"
    return RenderedFigure(figure, counted(count, note))


def _signs(run: Saved) -> RenderedFigure:
    table = run.table("trajectories").dropna(subset=["reversal"])
    table = table[~table["repeated"]]
    stages = sorted(set(table["stage"]))
    lines = max(table.loc[table["stage"] == stage, "training"].nunique() for stage in stages)
    figure, _ = style.new_figure(4.8 * len(stages), 1.6 + 0.085 * lines)
    figure.clear()
    # Few early values lie far out; with them the others would all be pale.
    limit = float(table["reversal"].abs().quantile(0.95))
    axes = np.atleast_1d(figure.subplots(1, len(stages)))
    for ax, stage in zip(axes, stages, strict=True):
        draw_signs(table[table["stage"] == stage], ax, limit, bar=stage == stages[-1])
        ax.set_title(f"Stage {stage}")
    axes[0].set_title(run.title(f"Where in training the sign turns: stage {stages[0]}"))
    note = (
        "one line each, lines of one condition together, in stage B named by the factors at their "
        "high level; a training of two stages stands in the first"
    )
    return RenderedFigure(figure, counted(table["training"].nunique(), note))


DRAWINGS = {
    "emergence_trajectories": Drawing(
        "emergence",
        "Sink and reversal over the course of each training.",
        _trajectories,
        ("trajectories",),
    ),
    "emergence_signs": Drawing(
        "emergence",
        "Map of the reversal by training and step: where its sign turns.",
        _signs,
        ("trajectories",),
        drawable=lambda run: bool(run.table("trajectories")["reversal"].notna().any()),
    ),
}
