"""How sink and reversal come in the course of a training, and whether they go together."""

from fractions import Fraction

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from litelvlm.figures import style
from litelvlm.figures.emergence.factors import LABELS, STAGES, cell_label, counted
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
    conditions = {
        "bags": table["stage"] == "A",
        "made": table["sos_loss"] > 0,
        "helper": table["helper"] > 0,
        "mean": table["pooling"] == "mean",
        "joined": table["cell"] == JOINED,
    }
    found = np.select(list(conditions.values()), list(conditions), "class")
    return pd.Series(found, index=table.index)


def known(table: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Lines of "trajectories" that have an outcome, each training once, at eighths of its steps."""
    found = table[~table["repeated"]].dropna(subset=[outcome])
    return found.assign(share=(8 * found["share"]).round() / 8)  # steps are whole numbers


def draw_trajectories(table: pd.DataFrame, outcome: str, ax: Axes) -> Axes:
    """One outcome over the course of each training.

    Args:
        table: The summary's table "trajectories"; a training that two stages have is drawn once.
        outcome: Column of the values.
        ax: Where to draw; a thin line per training, the mean of each kind of condition thick.
    """
    lines = known(table, outcome)
    for kind, part in lines.groupby(kinds(lines)):
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
    lines = known(table, "reversal")
    wide = lines.pivot(index=["cell", "training"], columns="share", values="reversal")
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


def draw_link(table: pd.DataFrame, ax: Axes) -> Axes:
    """Sink against reversal, every training that learned as a point, one marker per stage.

    Args:
        table: The summary's table "outcomes"; trainings that were made to have a sink are left out.
        ax: Where to draw.
    """
    return _scatter(_learned(table), "sink", "reversal", ax)


def draw_gain(table: pd.DataFrame, ax: Axes) -> Axes:
    """What LiteLVLM and the value path gain over random tokens against the reversal index.

    Args:
        table: The summary's table "gains"; only trainings that count in the claims are drawn, the
            value path of those where it was measured.
        ax: Where to draw.
    """
    counted = _counted(table)
    _scatter(counted, "index", "gain", ax)
    for points in ax.collections:
        points.set_label(f"LiteLVLM, {points.get_label()}")
    measured = counted.dropna(subset=["gain_value"])
    if not measured.empty:
        colour, marker, _, label = style.look("value_path")
        ax.scatter(
            measured["index"],
            measured["gain_value"],
            color=colour,
            marker=marker,
            s=18,
            label=label,
        )
    ax.legend(loc="best")
    return ax


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of "gains" that count in the claims. The study itself would load models to say so."""
    return table[table["learned"] & table["works"] & ~table["repeated"]]


def _scatter(table: pd.DataFrame, x: str, y: str, ax: Axes) -> Axes:
    """Two columns of trainings, one marker per stage, with lines at 0."""
    for stage, look in STAGES.items():
        part = table[table["stage"] == stage]
        if not part.empty:
            colour, marker, _, label = look
            ax.scatter(part[x], part[y], color=colour, marker=marker, s=18, label=label)
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel=LABELS[x], ylabel=LABELS[y])
    ax.legend(loc="best")
    return ax


def _learned(table: pd.DataFrame) -> pd.DataFrame:
    """Trainings that learned and have both outcomes, each once; none was made to have a sink."""
    natural = table["learned"] & ~table["repeated"] & (table["sos_loss"] == 0)
    return table[natural].dropna(subset=["sink", "reversal"])


@Drawing("emergence", ("trajectories",))
def emergence_trajectories(run: Saved) -> RenderedFigure:
    """Sink and reversal over the course of each training."""
    table = run.table("trajectories")
    figure = Figure(figsize=style.size(9.6, 7.2), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    for ax, outcome in zip(axes, TRAJECTORIES, strict=True):
        draw_trajectories(table, outcome, ax)
    axes[0].set_title(run.title("From the first step to the last"))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    count = table.loc[~table["repeated"], "training"].nunique()
    note = "thin lines are trainings, thick ones means of a kind of condition (number in brackets)"
    return RenderedFigure(figure, counted(count, note))


@Drawing(
    "emergence",
    ("trajectories",),
    drawable=lambda run: not known(run.table("trajectories"), "reversal").empty,
)
def emergence_signs(run: Saved) -> RenderedFigure:
    """Map of the reversal by training and step: where its sign turns."""
    table = known(run.table("trajectories"), "reversal")
    trainings = table.groupby("stage")["training"].nunique()
    size = 4.8 * len(trainings), 1.6 + 0.085 * trainings.max()
    figure, axes = style.new_panels(len(trainings), *size)
    # Few early values lie far out; with them the others would all be pale.
    limit = float(table["reversal"].abs().quantile(0.95))
    for ax, stage in zip(axes, trainings.index, strict=True):
        draw_signs(table[table["stage"] == stage], ax, limit, bar=ax is axes[-1])
        ax.set_title(f"Stage {stage}")
    axes[0].set_title(run.title(f"Where in training the sign turns: stage {trainings.index[0]}"))
    note = (
        "one line each, lines of one condition together, in stage B named by the factors at their "
        "high level; a training of two stages stands in the first"
    )
    return RenderedFigure(figure, counted(table["training"].nunique(), note))


@Drawing("emergence", ("outcomes",), drawable=lambda run: not _learned(run.table("outcomes")).empty)
def emergence_link(run: Saved) -> RenderedFigure:
    """Sink against reversal across trainings."""
    table = run.table("outcomes")
    figure, ax = style.new_figure(5.4, 3.8)
    draw_link(table, ax).set_title(run.title("Do sink and reversal go together?"))
    note = "those that learned to find categories; none was made to have a sink"
    return RenderedFigure(figure, counted(len(_learned(table)), note))


@Drawing("emergence", ("gains",), drawable=lambda run: not _counted(run.table("gains")).empty)
def emergence_gain(run: Saved) -> RenderedFigure:
    """Gain of LiteLVLM and of the value path against the reversal index across trainings."""
    table = run.table("gains")
    figure, ax = style.new_figure(5.4, 3.8)
    draw_gain(table, ax).set_title(run.title("What pruning gains, by reversal of the training"))
    drawn = _counted(table)
    note = "those that learned and whose reader finds objects; mean of the budgets"
    if measured := int(drawn["gain_value"].notna().sum()):
        note += f"; the value path of {measured} of them"
    return RenderedFigure(figure, counted(len(drawn), note))


DRAWINGS = (emergence_trajectories, emergence_signs, emergence_link, emergence_gain)
