"""More figures of the reversal study: by layer and model, by target size, in pictures."""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.inputs.labels import MIN_VISIBLE
from litelvlm.analysis.studies.examples import FILE, read_examples
from litelvlm.figures import style
from litelvlm.figures.axes import heatmap
from litelvlm.figures.examples import draw_examples, panel_grid
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note


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
    heatmap(ax, wide, "reversal index", centre=0.0, ends=(-1, 1), texts=texts)
    ax.set(xlabel="", ylabel="layer, from the end (−2 is used)")
    ax.tick_params(axis="y", rotation=0)
    return ax


def primary_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the model's own primary ranking, on targets that are at least half visible."""
    wanted = {"clip_model": "", "control": "none", "labels": "primary"}
    wanted |= {"probe": "released", "text_mode": "template"}
    chosen = rows["visible_frac"] >= MIN_VISIBLE
    for name, value in wanted.items():
        chosen &= rows[name] == value
    return rows[chosen]


def draw_area(rows: pd.DataFrame, table: pd.DataFrame, ax: Axes) -> Axes:
    """Reversal index against the target's share of the image, with means over fifths.

    Args:
        rows: Per expression: ri, area_frac, visible_frac and the tags of its construction.
        table: The summary's table "area": area_frac (median of a fifth), ri, low, high.
        ax: Where to draw.
    """
    true = primary_rows(rows)
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
