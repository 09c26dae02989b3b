"""Figures of the reversal study: is the referent ranked low, and how much of it is kept?"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from litelvlm.analysis.inputs.labels import MIN_VISIBLE
from litelvlm.analysis.studies.constructions import PRIMARY, select
from litelvlm.analysis.studies.examples import FILE, read_examples
from litelvlm.figures import style
from litelvlm.figures.axes import (
    WIDER,
    band,
    budget_axis,
    draw_categories,
    error_bars,
    excluded_text,
    forest,
    heatmap,
    legend_beside,
    lines_of,
    literal,
    shown_categories,
)
from litelvlm.figures.examples import draw_examples
from litelvlm.figures.saved import INTERVALS, Drawing, RenderedFigure, Saved, sample_note

# (control, text mode, probe) of the constructions on the used layer, in the order in which they
# take explanations away.
CONSTRUCTIONS = {
    ("none", "template", "released"): "true text, true mask",
    ("other_text", "shuffled", "released"): "text of another image",
    ("same_category_text", "shuffled", "released"): "text of another image, same category",
    ("no_text", "empty", "released"): "empty text",
    ("no_text", "photo", "released"): "text “a photo”",
    ("no_text", "instruction", "released"): "the question's own words",
    ("no_text", "mean", "released"): "mean of many texts",
    ("other_masks", "template", "released"): "masks of other images",
    ("moved_mask", "template", "released"): "mask moved round the grid",
    ("random_blobs", "template", "released"): "random blob for a mask",
    ("same_category_object", "template", "released"): "mask of another object, same category",
    ("other_category_object", "template", "released"): "mask of another object, other category",
    ("text_free", "none", "centre_distance"): "no text: nearness to the centre",
    ("text_free", "none", "state_norm"): "no text: norm of the state",
    ("text_free", "none", "value_norm"): "no text: norm of the value",
    ("text_free", "none", "cls_cosine"): "no text: cosine to CLS",
    ("text_free", "none", "context"): "no text: context score",
    ("random_weights", "template", "released"): "random weights, true text",
    ("random_weights", "shuffled", "released"): "random weights, text of another image",
}
# Rankings of the recall table that are methods of their own: their name in the table of methods.
_METHODS = {
    ("similarity", "lowest"): "low_similarity",
    ("similarity", "highest"): "high_similarity",
    ("similarity", "random"): "random",
    ("mask", "highest"): "mask_oracle",
}
# Rankings that are no methods.
_SCORES = {"state_norm": ("#997700", "D"), "context": ("#994455", "s")}


def constructions(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of the known constructions (rows or means), with their names in a column ``shown``."""
    chosen = table[
        (table["labels"] == "primary") & (table["layer"] == -2) & (table["clip_model"] == "")
    ]
    shown = chosen[["control", "text_mode", "probe"]].apply(tuple, axis=1).map(CONSTRUCTIONS)
    order = [name for name in CONSTRUCTIONS.values() if (shown == name).any()]
    return (
        chosen.assign(shown=pd.Categorical(shown, order, ordered=True))
        .dropna(subset="shown")
        .sort_values("shown")
    )


def draw_index(rows: pd.DataFrame, means: pd.DataFrame, ax: Axes) -> Axes:
    """Distribution of the reversal index per construction, with its mean and interval.

    Args:
        rows: Per expression: control, text_mode, probe, layer, labels, visible_frac, ri.
        means: The summary's table "ri": the same tags, ri, low, high.
        ax: Where to draw; one line per construction, the true one on top.
    """
    means = constructions(means)
    names = list(means["shown"])
    seen = constructions(rows[rows["visible_frac"] >= MIN_VISIBLE])
    colours = dict.fromkeys(names, style.colour("centre_distance"))
    colours[names[0]] = style.colour("litelvlm")
    sns.violinplot(
        seen,
        x="ri",
        y="shown",
        order=names,
        hue="shown",
        palette=colours,
        inner=None,
        dodge=False,
        linewidth=0,
        cut=0,
        density_norm="width",
        legend=False,
        ax=ax,
    )
    places = np.arange(len(names))
    ax.hlines(places, means["low"], means["high"], colors=style.INK, linewidth=1.4, zorder=4)
    ax.scatter(means["ri"], places, c=style.INK, s=14, zorder=5)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    words = "reversal index, 1 − 2 AUROC (positive: the referent ranks low)"
    ax.set(xlim=(-1.02, 1.02), xlabel=words, ylabel="")
    return ax


def draw_recall(table: pd.DataFrame, ax: Axes) -> Axes:
    """Share of the mask's tokens kept at each budget, by ranking.

    Args:
        table: The summary's table "recall": ranking, kept, budget, recall, low, high.
        ax: Where to draw; one line with a band per ranking.
    """
    for ranking, lines in lines_of(table, "ranking"):
        for kept, line in lines_of(lines, "kept"):
            method = _METHODS.get((ranking, kept), ranking)
            linestyle = "-" if ranking == "similarity" else ":"
            own = style.look(method, linestyle=linestyle)
            if method in _SCORES:
                colour, marker = _SCORES[method]
                own = style.over(method, own._replace(colour=colour, marker=marker))
            band(ax, line, "budget", "recall", own)
    budget_axis(ax, table["budget"])
    ax.set(ylim=(0, 1), ylabel="share of the referent's tokens kept")
    return legend_beside(ax)


def draw_strata(table: pd.DataFrame, ax: Axes) -> Axes:
    """Reversal index of the true ranking by kinds of expression and target.

    Args:
        table: The summary's table "strata": stratum, group, ri, low, high.
        ax: Where to draw; one line per group.
    """
    names = table["stratum"].str.replace("_", " ") + ": " + table["group"]
    forest(ax, table, "ri", list(map(literal, names)), [style.colour("litelvlm")] * len(table))
    ax.set(xlabel="reversal index (positive: the referent ranks low)")
    return ax


def draw_layers(table: pd.DataFrame, ax: Axes, own: str) -> Axes:
    """Reversal index by layer and CLIP model; layers count from the end, and -2 is used.

    Args:
        table: The summary's table "layers": clip_model, layer, ri.
        ax: Where to draw; a column is a model, the last layer on top.
        own: Name for the model's own towers.
    """
    wide = table.assign(clip_model=table["clip_model"].replace("", own)).pivot(
        index="layer", columns="clip_model", values="ri"
    )
    wide = wide.sort_index(ascending=False)
    texts = wide.map("{:.2f}".format)
    heatmap(ax, wide, "reversal index", centre=0.0, ends=(-1.0, 1.0), texts=texts)
    ax.set(xlabel="", ylabel="layer, from the end (−2 is used)")
    ax.tick_params(axis="y", rotation=0)
    return ax


def draw_area(rows: pd.DataFrame, table: pd.DataFrame, ax: Axes) -> Axes:
    """Reversal index against the target's share of the image, with means over fifths.

    Args:
        rows: Per expression: ri, area_frac, visible_frac and the tags of its construction.
        table: The summary's table "area": area_frac (median of a fifth), ri, low, high.
        ax: Where to draw.
    """
    true = select(rows[rows["clip_model"] == ""], PRIMARY)
    ax.scatter(
        true["area_frac"], true["ri"], s=5, color=style.colour("litelvlm"), alpha=0.3, linewidths=0
    )
    error_bars(ax, table, "area_frac", "ri", style.Look(style.INK, "o", "-", ""))
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    ax.set(ylim=(-1.02, 1.02), xlabel="target's share of the image", ylabel="reversal index")
    return ax


def draw_moments(table: pd.DataFrame, ax: Axes) -> Axes:
    """Reversal index by moment of a clip, a line for each kind of expression.

    Args:
        table: The summary's table "moments": kind, moment, ri, low, high.
        ax: Where to draw.
    """
    shades = [style.INK, *sns.color_palette(n_colors=table["kind"].nunique())]
    for shade, (kind, line) in zip(shades, table.groupby("kind", sort=False), strict=False):
        band(ax, line, "moment", "ri", style.Look(shade, "o", "-", str(kind)))
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xticks(sorted(table["moment"].unique()))
    ax.set(ylim=(-1.02, 1.02), xlabel="still of the clip, in order", ylabel="reversal index")
    return legend_beside(ax)


@Drawing("reversal", ("ri",), drawable=lambda run: len(constructions(run.table("ri"))) > 0, opens=3)
def reversal_index(run: Saved) -> RenderedFigure:
    """Reversal index per expression, with every control, and by category of the referent."""
    means, categories = run.table("ri"), pd.DataFrame()
    if "categories" in run.summary.tables:
        table = run.table("categories")
        categories, excluded = shown_categories(table[table["claim"] == "H1.sign"], "ri")
    height = max(4.4, 1.2 + 0.19 * len(categories))
    figure, axes = style.new_panels(2 if len(categories) else 1, style.PAGE, height)
    draw_index(run.rows, means, axes[0]).set_xlabel("reversal index, 1 − 2 AUROC", fontsize=8.5)
    style.heading(figure, run.title("Does the similarity rank the referent low?"))
    what = (
        "positive: the referent ranks low; dots: means with 95 % intervals from resampling images"
    )
    if len(categories):
        draw_categories(categories, "ri", axes[1]).set_title(
            "By category (expressions)", fontsize="medium"
        )
        axes[1].set_xlim(-1.02, 1.02)
        axes[1].set_xlabel("reversal index", fontsize=8.5)
        what += f"; right: {excluded_text(excluded)}"
    return RenderedFigure(figure, sample_note(constructions(means), what))


@Drawing("reversal", ("recall",))
def reversal_recall(run: Saved) -> RenderedFigure:
    """Share of the referent's tokens kept by similarity, low and high, and without text."""
    table = run.table("recall")
    figure, ax = style.new_figure(6.4, 3.6)
    draw_recall(table, ax).set_title(run.title("How much of the referent does a budget keep?"))
    return RenderedFigure(figure, sample_note(table))


@Drawing("reversal", ("strata",))
def reversal_strata(run: Saved) -> RenderedFigure:
    """Reversal index by kind of expression, size and visibility."""
    table = run.table("strata")
    figure, ax = style.new_figure(5.6, 1.4 + 0.22 * len(table))
    draw_strata(table, ax).set_title(run.title("For which expressions is there a reversal?"))
    return RenderedFigure(figure, sample_note(table, f"{INTERVALS}; {WIDER}"))


@Drawing("reversal", ("layers",))
def reversal_layers(run: Saved) -> RenderedFigure:
    """Reversal index by layer and CLIP model."""
    table = run.table("layers")
    size = 3.4 + 1.1 * table["clip_model"].nunique(), 1.6 + 0.26 * table["layer"].nunique()
    figure, ax = style.new_figure(*size)
    draw_layers(table, ax, run.record.model["name"]).set_title(run.title("Reversal by layer"))
    what = "means; every layer is read through the final norm and the projection"
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("reversal", ("area",))
def reversal_area(run: Saved) -> RenderedFigure:
    """Reversal index against the target's size."""
    table = run.table("area")
    figure, ax = style.new_figure(5.6, 3.4)
    draw_area(run.rows, table, ax).set_title(run.title("Reversal by target size"))
    what = "means over fifths of the targets with 95 % intervals"
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("reversal", ("moments",), drawable=lambda run: "moments" in run.summary.tables)
def reversal_moments(run: Saved) -> RenderedFigure:
    """Reversal index along clips, by kind of expression."""
    table = run.table("moments")
    figure, ax = style.new_figure(5.6, 3.4)
    draw_moments(table, ax).set_title(run.title("Does the reversal last through a clip?"))
    what = "means over stills at even distances; bands: 95 % intervals from resampling clips"
    return RenderedFigure(figure, sample_note(table, what))


@Drawing("reversal", files=(str(FILE),))
def reversal_examples(run: Saved) -> RenderedFigure:
    """What the lowest similarity keeps of a few expressions."""
    _, examples = read_examples(run.folder)
    figure = draw_examples(examples)
    style.heading(figure, run.title("What the lowest similarity keeps"))
    shares = ", ".join(str(example.percentile) for example in examples)
    note = (
        f"Expressions at percentiles {shares} of the reversal index (RI), not chosen by eye: where "
        "it fails first, where it is strongest last; the true mask is tinted. "
    )
    return RenderedFigure(figure, note + "Tokens that are not kept are dark.")


DRAWINGS = (
    reversal_index,
    reversal_recall,
    reversal_strata,
    reversal_layers,
    reversal_area,
    reversal_moments,
    reversal_examples,
)
