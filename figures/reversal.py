"""Figures of the reversal study: is the referent ranked low, and how much of it is kept?"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from litelvlm.analysis.inputs.labels import MIN_VISIBLE
from litelvlm.figures import style
from litelvlm.figures.axes import band, budget_axis, forest, lines_of
from litelvlm.figures.groups.categories import draw_categories, excluded_text, shown_categories
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

# (control, text mode, probe) of the constructions on the used layer, in the order in which they
# take explanations away.
CONSTRUCTIONS: dict[tuple[str, str, str], str] = {
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


def constructions(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of the known constructions (rows or means), with their names in a column ``shown``."""
    chosen = table[
        (table["labels"] == "primary") & (table["layer"] == -2) & (table["clip_model"] == "")
    ]
    keys = pd.Series(
        list(zip(chosen["control"], chosen["text_mode"], chosen["probe"], strict=True)),
        chosen.index,
    )
    shown = keys.map(CONSTRUCTIONS)
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
    true = names[0]
    sns.violinplot(
        seen,
        x="ri",
        y="shown",
        order=names,
        hue="shown",
        palette={
            name: style.colour("litelvlm" if name == true else "centre_distance") for name in names
        },
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
    ax.set(
        xlim=(-1.02, 1.02),
        xlabel="reversal index, 1 − 2 AUROC (positive: the referent ranks low)",
        ylabel="",
    )
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
            band(ax, line, "budget", "recall", method, style.label(method), linestyle)
    budget_axis(ax, table["budget"])
    ax.set(ylim=(0, 1), ylabel="share of the referent's tokens kept")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def draw_strata(table: pd.DataFrame, ax: Axes) -> Axes:
    """Reversal index of the true ranking by kinds of expression and target.

    Args:
        table: The summary's table "strata": stratum, group, ri, low, high.
        ax: Where to draw; one line per group.
    """
    names = table["stratum"].str.replace("_", " ") + ": " + table["group"]
    forest(ax, table, "ri", list(names), [style.colour("litelvlm")] * len(table), null=0.0)
    ax.set(xlabel="reversal index (positive: the referent ranks low)", ylabel="")
    return ax


def _index(run: Saved) -> RenderedFigure:
    means, n = run.table("ri"), _category_rows(run)
    height = max(4.4, 1.2 + 0.19 * n)
    figure, axes = style.new_panels(2 if n else 1, style.PAGE, height)
    draw_index(run.rows, means, axes[0]).set_xlabel("reversal index, 1 − 2 AUROC", fontsize=8.5)
    style.heading(figure, run.title("Does the similarity rank the referent low?"))
    what = (
        "positive: the referent ranks low; dots: means with 95 % intervals from resampling images"
    )
    if n:
        what += f"; {_category_panel(run, axes[1])}"
    return RenderedFigure(figure, sample_note(constructions(means), what))


def _recall(run: Saved) -> RenderedFigure:
    table = run.table("recall")
    figure, ax = style.new_figure(6.4, 3.6)
    draw_recall(table, ax).set_title(run.title("How much of the referent does a budget keep?"))
    return RenderedFigure(figure, sample_note(table))


def _strata(run: Saved) -> RenderedFigure:
    table = run.table("strata")
    figure, ax = style.new_figure(5.6, 1.4 + 0.22 * len(table))
    draw_strata(table, ax).set_title(run.title("For which expressions is there a reversal?"))
    return RenderedFigure(figure, sample_note(table))


def _category_panel(run: Saved, ax: Axes) -> str:
    """Draw the facet by category, and say in words what it leaves out."""
    table = run.table("categories")
    shown, n = shown_categories(table[table["claim"] == "H1.sign"], "ri")
    draw_categories(shown, "ri", ax).set_title("By category (expressions)", fontsize=9)
    ax.set_xlim(-1.02, 1.02)
    ax.set_xlabel("reversal index", fontsize=8.5)
    return f"right: {excluded_text(n)}"


def _category_rows(run: Saved) -> int:
    """Lines that the facet by category needs; 0 where the data state no categories."""
    if "categories" not in run.summary.tables:
        return 0
    table = run.table("categories")
    return len(shown_categories(table[table["claim"] == "H1.sign"], "ri")[0])


DRAWINGS = {
    "reversal_index": Drawing(
        "reversal",
        "Reversal index per expression, with every control, and by category of the referent.",
        _index,
        ("ri",),
        drawable=lambda run: not constructions(run.table("ri")).empty,
        opens=2,
    ),
    "reversal_recall": Drawing(
        "reversal",
        "Share of the referent's tokens kept by similarity, low and high, and without text.",
        _recall,
        ("recall",),
    ),
    "reversal_strata": Drawing(
        "reversal",
        "Reversal index by kind of expression, size and visibility.",
        _strata,
        ("strata",),
    ),
}
