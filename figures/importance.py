"""Figures of the importance study: do CLIP's scores agree with importance in the language model?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.signals import targets
from litelvlm.figures import style
from litelvlm.figures.axes import band, budget_axis, heatmap, legend_beside
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

KEY = ["signal", "removal"]
SIGNALS = {
    ("attention_middle", ""): ("attention, middle layers", "litelvlm"),
    ("leave_one_out", "drop"): ("loss when a block is dropped", "high_similarity"),
    ("relevance", ""): ("gradient-weighted attention", "mask_oracle"),
    ("input_x_gradient", ""): ("input x gradient", "inverse_mask_oracle"),
}
"""(signal, removal) to its name and the method whose colour and marker it has."""
SCORES = {
    "low_similarity": "reversed similarity",
    "low_input_similarity": "reversed input similarity",
    "received_attention": "attention received in the tower",
    "tower_value_norm": "value norm in the tower",
    "cosine_low_similarity": "reversed cosine similarity",
    "context": "context",
    "cls_attention": "attention of CLS",
    "value_norm": "value norm",
    "state_norm": "state norm",
    "cls_cosine": "cosine to CLS",
    "centre_distance": "nearness to the centre",
    "random": "random",
    "coverage": "the true mask",
}
"""Scores in the order in which they are shown, and their names."""
OVERLAPS = {
    "low_similarity": "litelvlm",
    "low_input_similarity": "litelvlm",
    "coverage": "mask_oracle",
    "centre_distance": "centre_distance",
    "random": "random",
}
"""Scores whose overlap at the top is drawn, and the method whose colour and marker each has."""


def main_target(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of what the model's kind of answer is measured by; attention has no target."""
    return table[table["target"].isin(["", targets.main_target(table["target"])])]


def of_signal(table: pd.DataFrame, key: tuple[str, str]) -> pd.DataFrame:
    """Lines of one of ``SIGNALS``."""
    return table[(table[KEY] == list(key)).all(axis=1)]


def draw_grid(table: pd.DataFrame, ax: Axes) -> Axes:
    """Rank correlation of the reversed similarity with the answer's attention, per layer and head.

    Args:
        table: The lines of one signal of the summary's table "grid": layer, head, value, q.
        ax: Where to draw; rows are layers from input to output, columns heads. A star marks q <
            0.05.
    """
    wide, texts = table.pivot(index="layer", columns="head", values="value"), None
    if wide.size <= 64:
        marks = table.assign(star=table["q"].lt(0.05) if "q" in table else False)
        stars = marks.pivot(index="layer", columns="head", values="star").astype(bool)
        texts = wide.map("{:.2f}".format) + stars.map(lambda below: "*" if below else "")
    heatmap(ax, wide, "mean Spearman correlation", centre=0.0, texts=texts)
    ax.set(xlabel="head", ylabel="layer")
    return ax


def draw_scores(table: pd.DataFrame, ax: Axes, partial_set: str = "position") -> Axes:
    """Mean rank correlation of every score with four signals, and its ceiling where measured.

    Args:
        table: The summary's table "agreement": score, signal, target, removal, metric, partial_set,
            value, low, high, ceiling.
        ax: Where to draw; one line per score, one dot with its interval per signal. A tick marks
            the ceiling. Over the whole height, a dotted line per signal marks the true mask.
        partial_set: What is held fixed: "none", "position" or "position+coverage".
    """
    table = main_target(table)
    table = table[(table["metric"] == "spearman") & (table["partial_set"] == partial_set)]
    names = [name for name in SCORES if name in set(table["score"])]
    places = np.arange(len(names), dtype=float)
    offsets = np.linspace(-0.27, 0.27, len(SIGNALS))
    for offset, (key, (label, method)) in zip(offsets, SIGNALS.items(), strict=True):
        part = of_signal(table, key).set_index("score").reindex(names)
        if part["value"].isna().all():
            continue
        colour, heights = style.colour(method), places + offset
        ax.hlines(heights, part["low"], part["high"], colors=colour, linewidth=1.4)
        marker = style.mark(method)
        ax.scatter(part["value"], heights, s=18, color=colour, marker=marker, zorder=3, label=label)
        for mask in part.loc[part.index == "coverage", "value"].dropna():
            ax.axvline(mask, color=colour, linewidth=0.9, linestyle=":", zorder=0)
        if "ceiling" in part:
            ax.scatter(part["ceiling"], heights, color=colour, marker="|", s=60)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_yticks(places, [SCORES[name] for name in names])
    ax.invert_yaxis()
    named = {"position": "position and norm", "position+coverage": "position, norm and coverage"}
    fixed = f", {named[partial_set]} held fixed" if partial_set in named else ""
    ax.set_xlabel(f"mean Spearman correlation{fixed}")
    return legend_beside(ax)


def draw_joint(table: pd.DataFrame, ax: Axes, bar: bool = False) -> Axes:
    """Share of tokens in each pair of rank bins, over what independent ranks would give.

    Args:
        table: The lines of one signal of the summary's table "joint": score_bin, signal_bin, value,
            chance.
        ax: Where to draw; low ranks at the bottom and left, 1 is independence.
        bar: Whether to draw the colour bar too.
    """
    ratio = table.assign(ratio=table["value"] / table["chance"])
    wide = ratio.pivot(index="signal_bin", columns="score_bin", values="ratio")
    words = "tokens over independence" if bar else ""
    heatmap(ax, wide.sort_index(ascending=False), words, centre=1.0, ends=(0.5, 1.5), square=True)
    n = len(wide)
    edges, shares = np.arange(n + 1), [f"{100 * place / n:.0f}" for place in range(n + 1)]
    ax.set_xticks(edges, shares, rotation=0)
    ax.set_yticks(edges, shares[::-1], rotation=0)
    ax.set(xlabel="rank by reversed similarity, %", ylabel="rank by importance, %")
    return ax


def pearson_of(agreement: pd.DataFrame, key: tuple[str, str]) -> str:
    """Mean Pearson and Spearman correlation of the reversed similarity with one signal, in words.

    Args:
        agreement: The summary's table "agreement".
        key: Signal and removal.
    """
    agreement = of_signal(main_target(agreement), key)
    lead = next(name for name in SCORES if name in set(agreement["score"]))
    plain = agreement[(agreement["score"] == lead) & (agreement["partial_set"] == "none")]
    chosen = plain.set_index("metric")["value"]
    names = {"pearson": "Pearson", "spearman": "Spearman"}
    return ", ".join(f"{name} {chosen[m]:.2f}" for m, name in names.items() if m in chosen.index)


def draw_overlap(table: pd.DataFrame, ax: Axes) -> Axes:
    """Overlap of the first k tokens above chance, by k: reversed ranking, mask, place, random.

    Args:
        table: Lines of one part and one measure of the summary's table "overlap": score, k, value,
            low, high.
        ax: Where to draw; 0 is chance, 1 the same tokens.
    """
    for score, method in OVERLAPS.items():
        linestyle = "-" if method == "litelvlm" else "--"
        own = style.look(method, SCORES[score], linestyle)
        band(ax, table[table["score"] == score], "k", "value", own)
    budget_axis(ax, table["k"])
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(ylabel="overlap above chance")
    return ax


def draw_reinitialised(table: pd.DataFrame, ax: Axes) -> Axes:
    """Agreement of each signal with itself as layers are reinitialised, from the top down.

    Args:
        table: The summary's table "reinitialised": signal, target, removal, layer, value, low,
            high, chance.
        ax: Where to draw; the horizontal axis is the lowest layer without its trained weights, all
            of them at 0.
    """
    table = main_target(table)
    for key, (label, method) in SIGNALS.items():
        band(ax, of_signal(table, key), "layer", "value", style.look(method, label))
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xticks(sorted(table["layer"].unique()))
    ax.invert_xaxis()
    ax.set(
        xlabel="lowest reinitialised layer", ylabel="Spearman correlation with the trained model"
    )
    return legend_beside(ax)


@Drawing("importance", ("grid",))
def importance_grid(run: Saved) -> RenderedFigure:
    """Rank correlation of the reversed similarity with attention, per layer and head."""
    table = run.table("grid").query("signal == 'attention'")
    heads, layers = table["head"].nunique(), table["layer"].nunique()
    size = max(4.4, min(9.0, 1.8 + 0.5 * heads)), max(2.4, min(8.0, 1.6 + 0.4 * layers))
    figure, ax = style.new_figure(*size)
    draw_grid(table, ax).set_title(run.title("Reversed similarity and attention"))
    what = "stars: q < 0.05 after Benjamini-Hochberg over all heads, exploratory"
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("importance", ("agreement",))
def importance_scores(run: Saved) -> RenderedFigure:
    """Rank correlation of every score with importance, and its ceiling."""
    return _scores(run, "none", "; ticks: the highest correlation that the reliabilities allow")


@Drawing("importance", ("agreement",))
def importance_partial(run: Saved) -> RenderedFigure:
    """Rank correlation of every score with importance, position and state norm held fixed."""
    return _scores(run, "position")


def _scores(run: Saved, partial_set: str, more: str = "") -> RenderedFigure:
    table = run.table("agreement")
    figure, ax = style.new_figure(6.4, 5.4)
    draw_scores(table, ax, partial_set)
    ax.set_title(run.title("Do CLIP's scores agree with importance?"))
    shown = main_target(table)
    shown = shown[
        (shown["metric"] == "spearman") & shown[KEY].apply(tuple, axis=1).isin(list(SIGNALS))
    ]
    what = f"95 % intervals from resampling images; dotted: the true mask{more}"
    return RenderedFigure(figure, sample_note(shown, what))


@Drawing("importance", ("joint", "agreement"))
def importance_joint(run: Saved) -> RenderedFigure:
    """Ranks of the same tokens by reversed similarity and by importance."""
    table, agreement = main_target(run.table("joint")), run.table("agreement")
    found = {key: lines for key in SIGNALS if len(lines := of_signal(table, key))}
    figure, axes = style.new_panels(len(found), 3.0 * len(found) + 0.8, 3.4)
    for ax, (key, lines) in zip(axes, found.items(), strict=True):
        draw_joint(lines, ax, bar=ax is axes[-1])
        ax.set_title(f"{SIGNALS[key][0]}\n{pearson_of(agreement, key)}", fontsize="medium")
        if ax is not axes[0]:
            ax.set_ylabel("")
    style.heading(figure, run.title("Ranks of the same tokens"))
    what = (
        "colour: share of tokens over that of independent ranks; titles: mean correlation over "
        "samples, nothing held fixed"
    )
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("importance", ("overlap",))
def importance_overlap(run: Saved) -> RenderedFigure:
    """Overlap of the kept tokens with those that matter, beside the mask and chance."""
    table = run.table("overlap").query("metric == 'top_k_iou'")
    parts = {
        "H6.attention": "attention, middle layers",
        "H6.removal": "loss when a block is dropped",
    }
    figure, axes = style.new_panels(2, 9.0, 3.4)
    for ax, (part, label) in zip(axes, parts.items(), strict=True):
        draw_overlap(table[table["part"] == part], ax).set_title(label, fontsize="medium")
    legend_beside(axes[1])
    style.heading(figure, run.title("Are the kept tokens those that matter?"))
    what = "intersection over union of the first k tokens, (value − chance) / (1 − chance); "
    return RenderedFigure(figure, sample_note(table, what + "bands: 95 % intervals over images"))


@Drawing("importance", ("reinitialised",))
def importance_reinitialised(run: Saved) -> RenderedFigure:
    """Agreement of each signal with itself as layers are reinitialised."""
    table = run.table("reinitialised")
    figure, ax = style.new_figure(5.4, 3.4)
    draw_reinitialised(table, ax).set_title(run.title("Signals under reinitialised layers"))
    return RenderedFigure(figure, sample_note(table))


DRAWINGS = (
    importance_grid,
    importance_scores,
    importance_partial,
    importance_joint,
    importance_overlap,
    importance_reinitialised,
)
