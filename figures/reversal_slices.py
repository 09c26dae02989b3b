"""More figures of the reversal study: by split, by layer and model, by target size, in pictures."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from scipy.stats import gaussian_kde

from litelvlm.analysis.inputs.labels import MIN_VISIBLE
from litelvlm.analysis.studies.examples import FILE, read_examples
from litelvlm.figures import style
from litelvlm.figures.examples import draw_examples, panel_grid
from litelvlm.figures.groups.categories import draw_categories, excluded_text, shown_categories
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

BANDS = {
    "N1": ("text of another image", "#0072B2"),
    "N2": ("empty text", "#56B4E9"),
    "N3": ("masks of other images", "#009E73"),
    "N4": ("mask moved round the grid", "#8C8C8C"),
    "N5": ("random blob", "#CC79A7"),
    "N6": ("mask of another object, same category", "#999933"),
}
"""Controls that the cloud is held against, with their colours."""
_HEIGHT, _GRID = 0.38, 200


def draw_raincloud(rows: pd.DataFrame, means: pd.DataFrame, ax: Axes) -> Axes:
    """Reversal index per expression by split, with its mean, and the controls as bands.

    Args:
        rows: Per expression: split, ri, visible_frac and the tags of its construction.
        means: The summary's table "ri": the tags, ri, low, high.
        ax: Where to draw; one cloud per split: density above, dots below, the mean with its
            interval between them.
    """
    true = _primary(rows[rows["visible_frac"] >= MIN_VISIBLE], "none")
    splits = sorted(true["split"].unique())
    for place, split in enumerate(splits):
        values = true.loc[true["split"] == split, "ri"].to_numpy()
        if np.ptp(values) > 0:
            grid = np.linspace(values.min(), values.max(), _GRID)
            density = gaussian_kde(values)(grid)
            top = place - 0.08 - _HEIGHT * density / density.max()
            ax.fill_between(
                grid, place - 0.08, top, color=style.colour("litelvlm"), alpha=0.35, linewidth=0
            )
        shake = np.random.default_rng(0).uniform(0.08, 0.34, len(values))
        ax.scatter(
            values,
            place + shake,
            s=4,
            color=style.colour("litelvlm"),
            alpha=0.35,
            linewidths=0,
            label="_dots",
        )
    (mean,) = _primary(means, "none")[["ri", "low", "high"]].to_numpy()
    middle = np.mean(range(len(splits)))
    ax.hlines(middle, mean[1], mean[2], colors=style.INK, linewidth=2, zorder=4)
    ax.scatter([mean[0]], [middle], color=style.INK, s=24, zorder=5)
    for control, (name, colour) in BANDS.items():
        for low, high in _primary(means, control)[["low", "high"]].to_numpy():
            ax.axvspan(low, high, color=colour, alpha=0.25, linewidth=0, label=name, zorder=0)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(splits)), splits)
    ax.invert_yaxis()
    ax.set(
        xlim=(-1.02, 1.02), xlabel="reversal index, 1 − 2 AUROC (positive: the referent ranks low)"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def category_panel(run: Saved, ax: Axes) -> str:
    """Draw the facet by category, and say in words what it leaves out."""
    table = run.table("categories")
    shown, n = shown_categories(table[table["claim"] == "H1.sign"], "ri")
    draw_categories(shown, "ri", ax).set_title("By category (expressions)", fontsize=9)
    ax.set_xlim(-1.02, 1.02)
    ax.set_xlabel("reversal index", fontsize=8.5)
    return f"right: {excluded_text(n)}"


def category_rows(run: Saved) -> int:
    """Lines that the facet by category needs; 0 where the data state no categories."""
    if "categories" not in run.summary.tables:
        return 0
    table = run.table("categories")
    return len(shown_categories(table[table["claim"] == "H1.sign"], "ri")[0])


def _primary(table: pd.DataFrame, control: str) -> pd.DataFrame:
    """Lines of the model's own primary ranking under one control (the empty text for N2)."""
    mode = {"N1": "shuffled", "N2": "empty"}.get(control, "template")
    chosen = (
        (table["control"] == control) & (table["text_mode"] == mode) & (table["clip_model"] == "")
    )
    chosen &= (table["probe"] == "P0") & (table["layer"] == -2) & (table["labels"] == "primary")
    return table[chosen]


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
    sns.heatmap(
        wide,
        annot=True,
        fmt=".2f",
        annot_kws={"size": 7},
        cmap="vlag",
        center=0,
        vmin=-1,
        vmax=1,
        linewidths=0.5,
        cbar_kws={"label": "reversal index"},
        ax=ax,
    )
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
    true = _primary(rows[rows["visible_frac"] >= MIN_VISIBLE], "none")
    ax.scatter(
        true["area_frac"], true["ri"], s=5, color=style.colour("litelvlm"), alpha=0.3, linewidths=0
    )
    error = [table["ri"] - table["low"], table["high"] - table["ri"]]
    ax.errorbar(
        table["area_frac"],
        table["ri"],
        yerr=error,
        color=style.INK,
        marker="o",
        markersize=4,
        capsize=2,
    )
    ax.axhline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    ax.set(ylim=(-1.02, 1.02), xlabel="target's share of the image", ylabel="reversal index")
    return ax


def _raincloud(run: Saved) -> RenderedFigure:
    means, n = run.table("ri"), category_rows(run)
    height = max(2.6 + 0.6 * run.rows["split"].nunique(), 1.2 + 0.19 * n)
    figure, axes = style.new_panels(2 if n else 1, style.PAGE, height)
    ax = draw_raincloud(run.rows, means, axes[0])
    style.heading(figure, run.title("Reversal of each expression, and its controls"))
    what = (
        "positive: the referent ranks low; bar: mean with its 95 % interval; bands: 95 % intervals "
        "of the controls"
    )
    if n:
        ax.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.16), ncols=2, fontsize=6.5)
        ax.set_xlabel("reversal index, 1 − 2 AUROC", fontsize=8.5)
        what += f"; {category_panel(run, axes[1])}"
    return RenderedFigure(figure, sample_note(_primary(means, "none"), what))


def _layers(run: Saved) -> RenderedFigure:
    table = run.table("layers")
    figure, ax = style.new_figure(
        3.4 + 1.1 * table["clip_model"].nunique(), 1.6 + 0.26 * table["layer"].nunique()
    )
    draw_layers(table, ax, run.record.model["name"]).set_title(run.title("Reversal by layer"))
    return RenderedFigure(
        figure,
        sample_note(table, "means; every layer is read through the final norm and the projection"),
    )


def _area(run: Saved) -> RenderedFigure:
    table = run.table("area")
    figure, ax = style.new_figure(5.6, 3.4)
    draw_area(run.rows, table, ax).set_title(run.title("Reversal by target size"))
    return RenderedFigure(
        figure, sample_note(table, "means over fifths of the targets with 95 % intervals")
    )


def _examples(run: Saved) -> RenderedFigure:
    _, examples = read_examples(run.folder)
    figure, axes = panel_grid(examples)
    draw_examples(examples, axes)
    style.heading(figure, run.title("What the lowest similarity keeps"))
    shares = ", ".join(str(example.percentile) for example in examples)
    note = (
        f"Expressions at percentiles {shares} of the reversal index (RI), not chosen by eye: where "
        "it fails first, where it is strongest last; the true mask is tinted. "
    )
    return RenderedFigure(figure, note + "Tokens that are not kept are dark.")


DRAWINGS = {
    "reversal_cloud": Drawing(
        "reversal",
        "Reversal index of every expression by split, against the controls, and by category.",
        _raincloud,
        ("ri",),
    ),
    "reversal_layers": Drawing(
        "reversal", "Reversal index by layer and CLIP model.", _layers, ("layers",)
    ),
    "reversal_area": Drawing(
        "reversal", "Reversal index against the target's size.", _area, ("area",)
    ),
    "reversal_examples": Drawing(
        "reversal",
        "What the lowest similarity keeps of a few expressions.",
        _examples,
        files=(str(FILE),),
    ),
}
