"""Figures of the emergence study: which conditions of training create the reversal and the sink?"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest
from litelvlm.figures.labels.conditions import cell_label
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

COLOURS = {"sink": "high_similarity", "reversal": "litelvlm"}
"""Outcome to the method whose colour it has."""
STAGES = {
    "A": ("text towers, bags of objects", "high_similarity"),
    "B": ("image towers, symbols", "litelvlm"),
    "C": ("symbols, one factor at a time", "random"),
    "D": ("pixels, one factor at a time", "mask_oracle"),
}
"""Stage to its name and the method whose colour and marker it has."""
ALONE = ("C", "D")
"""Stages that change one factor at a time."""
LABELS = {
    "sink": "log lift on [SOS] (0: uniform attention)",
    "reversal": "reversal index, true minus absent text",
    "index": "reversal index of the true text",
    "gain": "IoU, LiteLVLM minus random",
}
INTERVALS = "95 % t intervals over trainings"


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
    colours = [style.colour(COLOURS[outcome]) for outcome in chosen["outcome"]]
    filled = (chosen["p_holm"] <= 0.05).tolist()
    forest(ax, chosen, "effect", names, colours, 0.0, filled)
    for outcome in dict.fromkeys(chosen["outcome"]):
        ax.scatter([], [], color=style.colour(COLOURS[outcome]), s=18, label=f"on the {outcome}")
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
    colour = style.colour(COLOURS[outcome])
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


def draw_trajectories(table: pd.DataFrame, outcome: str, ax: Axes) -> Axes:
    """One outcome over the course of each training.

    Args:
        table: The summary's table "trajectories": stage, training, share and the outcomes.
        outcome: Column of the values.
        ax: Where to draw; a thin line per training, the mean of each stage thick.
    """
    for stage, (name, method) in STAGES.items():
        part = table[table["stage"] == stage].dropna(subset=[outcome])
        if part.empty:
            continue
        colour = style.colour(method)
        for _, line in part.groupby("training"):
            ax.plot(line["share"], line[outcome], color=colour, linewidth=0.5, alpha=0.4)
        mean = part.groupby("share")[outcome].mean()
        ax.plot(mean.index, mean, color=colour, linewidth=2, marker=style.mark(method), label=name)
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel="share of the training", ylabel=LABELS[outcome])
    if ax.get_legend_handles_labels()[0]:  # the first trainings alone have no reversal
        ax.legend(loc="best")
    return ax


def draw_signs(table: pd.DataFrame, ax: Axes) -> Axes:
    """Reversal that follows the text, by training and step: where its sign turns.

    Args:
        table: The summary's table "trajectories".
        ax: Where to draw; one line per training, ordered by its last value.
    """
    known = table.dropna(subset=["reversal"]).copy()
    known["kept"] = known.groupby("training")["step"].rank(method="first").astype(int)
    wide = known.pivot(index="training", columns="kept", values="reversal")
    wide = wide.sort_values(wide.columns[-1], kind="stable")
    # A share of few steps is rounded to a whole one, so that trainings differ in the third digit.
    wide.columns = [f"{share:g}" for share in known.groupby("kept")["share"].median()]
    bar, named = {"label": LABELS["reversal"]}, len(wide) <= 40
    sns.heatmap(wide, cmap="vlag", center=0.0, yticklabels=named, cbar_kws=bar, ax=ax)
    ax.set(xlabel="share of the training", ylabel="training")
    return ax


def draw_link(table: pd.DataFrame, ax: Axes) -> Axes:
    """Sink against reversal, every training that learned as a point, one marker per stage.

    Args:
        table: The summary's table "outcomes"; trainings that were made to have a sink are left out.
        ax: Where to draw.
    """
    return _scatter(_learned(table), "sink", "reversal", ax)


def draw_gain(table: pd.DataFrame, ax: Axes) -> Axes:
    """What LiteLVLM gains over random tokens against the reversal index, trainings as points.

    Args:
        table: The summary's table "gains"; only trainings that count in the claims are drawn.
        ax: Where to draw.
    """
    return _scatter(counted_gains(table), "index", "gain", ax)


def counted_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Trainings whose tower has learned and whose reader finds objects, each once."""
    return table[table["learned"] & table["works"] & ~table["repeated"]]


def _scatter(table: pd.DataFrame, x: str, y: str, ax: Axes) -> Axes:
    """Two columns of trainings, one marker per stage, with lines at 0."""
    for stage, (name, method) in STAGES.items():
        part = table[table["stage"] == stage]
        if not part.empty:
            colour, marker = style.colour(method), style.mark(method)
            ax.scatter(part[x], part[y], color=colour, marker=marker, s=18, label=name)
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel=LABELS[x], ylabel=LABELS[y])
    ax.legend(loc="best")
    return ax


def _learned(table: pd.DataFrame) -> pd.DataFrame:
    """Trainings that learned and have both outcomes, each once; none was made to have a sink."""
    natural = table["learned"] & ~table["repeated"] & (table["sos_loss"] == 0)
    return table[natural].dropna(subset=["sink", "reversal"])


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


def draw_cells(table: pd.DataFrame, outcome: str, ax: Axes) -> Axes:
    """What each change of condition does to one outcome, every training as a point.

    Args:
        table: Lines of the table "outcomes" of one stage that changes one factor at a time.
        outcome: "sink" or "reversal".
        ax: Where to draw; a line per changed condition in the order of its mean, bars are means
            and hollow points did not learn to find categories.
    """
    found = changes_from_base(table, outcome)
    means = found.groupby("cell")["change"].mean().sort_values(kind="stable")
    colour = style.colour(COLOURS[outcome])
    for place, (cell, mean) in enumerate(means.items()):
        part = found[found["cell"] == cell]
        faces = [colour if learned else "white" for learned in part["learned"]]
        heights = np.full(len(part), float(place))
        ax.scatter(part["change"], heights, c=faces, edgecolors=colour, s=14, linewidths=0.7)
        ax.vlines(mean, place - 0.35, place + 0.35, colors=style.INK, linewidth=1.4)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(means)), [cell_label(str(cell)) for cell in means.index])
    ax.set_xlabel(f"change of {LABELS[outcome].split(' (')[0].split(',')[0]}")
    return ax


def _counted(count: int, what: str = INTERVALS) -> str:
    return f"n = {count} trainings; {what}."


def _effects(run: Saved) -> RenderedFigure:
    table = run.table("effects")
    settled = table[table["confirmatory"]]
    figure, ax = style.new_figure(6.4, 1.2 + 0.28 * len(settled))
    draw_effects(table, ax).set_title(run.title("What moves the sink and the reversal"))
    count = " to ".join(dict.fromkeys(str(n) for n in settled["n"].agg(["min", "max"])))
    note = "filled: p <= 0.05 after Holm over all effects settled beforehand"
    return RenderedFigure(figure, f"n = {count} trainings; {INTERVALS}; {note}.")


def _factors(run: Saved) -> RenderedFigure:
    outcomes, effects = run.table("outcomes"), run.table("effects")
    settled = effects[effects["confirmatory"]]
    pairs = settled[["stage", "outcome"]].drop_duplicates().to_numpy().tolist()
    figure, _ = style.new_figure(8.0, 3.2 * len(pairs))
    figure.clear()
    axes = np.atleast_1d(figure.subplots(len(pairs), 1))
    for ax, (stage, outcome) in zip(axes, pairs, strict=True):
        rows = settled[(settled["stage"] == stage) & (settled["outcome"] == outcome)]
        draw_points(outcomes, rows, ax)
        ax.set_title(run.title(f"Stage {stage}: {STAGES[stage][0]}"))
    drawn = int(outcomes["stage"].isin([stage for stage, _ in pairs]).sum())
    note = "points are trainings, bars means; hollow: did not learn to find categories"
    return RenderedFigure(figure, _counted(drawn, note))


def _trajectories(run: Saved) -> RenderedFigure:
    table = run.table("trajectories")
    figure, _ = style.new_figure(8.4, 3.4)
    figure.clear()
    for ax, outcome in zip(figure.subplots(1, 2), ("sink", "reversal"), strict=True):
        draw_trajectories(table, outcome, ax)
    figure.axes[0].set_title(run.title("From the first step to the last"))
    return RenderedFigure(
        figure, _counted(table["training"].nunique(), "thin lines are trainings, thick ones means")
    )


def _signs(run: Saved) -> RenderedFigure:
    table = run.table("trajectories").dropna(subset=["reversal"])
    count = table["training"].nunique()
    figure, ax = style.new_figure(6.0, min(9.0, 1.4 + 0.16 * count))
    draw_signs(table, ax).set_title(run.title("Where in training the sign turns"))
    return RenderedFigure(figure, _counted(count, "one line each"))


def _alone(run: Saved) -> list[str]:
    """Stages of a run that change one factor at a time."""
    return [stage for stage in ALONE if stage in set(run.table("outcomes")["stage"])]


def _cells(run: Saved) -> RenderedFigure:
    table = run.table("outcomes")
    table = table[table["stage"] == _alone(run)[0]]
    lines = max(len(changes_from_base(table, name)["cell"].unique()) for name in COLOURS)
    figure, _ = style.new_figure(9.6, 1.6 + 0.22 * lines)
    figure.clear()
    for ax, outcome in zip(figure.subplots(1, 2), ("sink", "reversal"), strict=True):
        draw_cells(table, outcome, ax)
    figure.axes[0].set_title(run.title("Conditions changed against the base"))
    note = "points are trainings minus the base of their seed, bars means; hollow: did not learn"
    return RenderedFigure(figure, _counted(int((table["cell"] != "base").sum()), note))


def _link(run: Saved) -> RenderedFigure:
    table = run.table("outcomes")
    figure, ax = style.new_figure(5.4, 3.8)
    draw_link(table, ax).set_title(run.title("Do sink and reversal go together?"))
    note = "those that learned to find categories; none was made to have a sink"
    return RenderedFigure(figure, _counted(len(_learned(table)), note))


def _gain(run: Saved) -> RenderedFigure:
    table = run.table("gains")
    figure, ax = style.new_figure(5.4, 3.8)
    draw_gain(table, ax).set_title(run.title("Does the reversal tell what LiteLVLM gains?"))
    note = "those that learned and whose reader finds objects; mean of the budgets"
    return RenderedFigure(figure, _counted(len(counted_gains(table)), note))


DRAWINGS = {
    "emergence_effects": Drawing(
        "emergence",
        "Effect of every condition that was settled beforehand on sink and reversal.",
        _effects,
        ("effects",),
    ),
    "emergence_factors": Drawing(
        "emergence",
        "Sink and reversal at both levels of each factor, trainings as points.",
        _factors,
        ("outcomes", "effects"),
    ),
    "emergence_cells": Drawing(
        "emergence",
        "Change of sink and reversal when one condition differs from the base.",
        _cells,
        ("outcomes",),
        drawable=lambda run: bool(_alone(run)),
    ),
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
    "emergence_link": Drawing(
        "emergence",
        "Sink against reversal across trainings.",
        _link,
        ("outcomes",),
        drawable=lambda run: not _learned(run.table("outcomes")).empty,
    ),
    "emergence_gain": Drawing(
        "emergence",
        "Gain of LiteLVLM over random tokens against the reversal index across trainings.",
        _gain,
        ("gains",),
        drawable=lambda run: len(counted_gains(run.table("gains"))) > 0,
    ),
}
