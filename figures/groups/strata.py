"""Figure of a sweep: for which expressions does the method beat random tokens?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE
from litelvlm.analysis.runs.claims import MIN_IMAGES
from litelvlm.figures import style
from litelvlm.figures.axes import READINGS, WIDER
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, protocol_note

STRATA = {"kind": "litelvlm", "size": "uniform", "words": "mask_oracle"}
"""Kinds of group, with the method whose colour each has."""
SIZES = ("small", "medium", "large")
RULE = 0.32
"""How far the dot of the paper's own rule lies below that of the released code, in lines."""


def draw_strata(table: pd.DataFrame, ax: Axes) -> Axes:
    """D2: cIoU minus that of random tokens, by kind of expression, target size and words.

    Args:
        table: Lines of one budget of the summary's table "strata": stratum, group, method, delta,
            low, high, low_categories, high_categories.
        ax: Where to draw; one line per group. The filled dot is the released code, the hollow one
            below it the paper's own rule. A thin line is the wider interval over images and
            categories.
    """
    groups = table[table["method"] == PAPER]
    for method, offset, face in ((PAPER, 0.0, None), (PAPER_RULE, RULE, "white")):
        lines = table[table["method"] == method]
        known = list(zip(groups["stratum"], groups["group"], strict=True))
        keys = list(zip(lines["stratum"], lines["group"], strict=True))
        places = np.array([known.index(key) for key in keys]) + offset
        colours = [style.colour(STRATA[stratum]) for stratum in lines["stratum"]]
        ax.hlines(places, lines["low"], lines["high"], colors=colours, linewidth=1.4)
        wider = lines["low_categories"], lines["high_categories"]
        ax.hlines(places, *wider, colors=colours, linewidth=0.6)
        ax.scatter(lines["delta"], places, c=face or colours, edgecolors=colours, s=16, zorder=3)
    names = [
        f"{group} target" if stratum == "size" and group in SIZES else str(group)
        for stratum, group in zip(groups["stratum"], groups["group"], strict=True)
    ]
    ax.set_yticks(np.arange(len(names)), names)
    ax.axvline(0.0, color=style.MUTED, linewidth=0.8, zorder=0)
    ax.set(xlabel="cIoU of LiteLVLM minus that of random tokens", ylabel="")
    return ax


def enough_images(table: pd.DataFrame) -> pd.DataFrame:
    """Groups that rest on at least 20 images at every budget; all of them if none does."""
    fewest = table.groupby(["stratum", "group"])["n_images"].transform("min")
    large = table[fewest >= MIN_IMAGES]
    return table if large.empty else large


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Lines by kind, size from small to large, and words."""
    size = table["group"].map(lambda group: SIZES.index(group) if group in SIZES else len(SIZES))
    place = table["stratum"].map(list(STRATA).index)
    ordered: pd.DataFrame = table.assign(place=place, size=size).sort_values(
        ["place", "size", "group"], kind="stable"
    )
    return ordered.drop(columns=["place", "size"])


def _strata(run: Saved) -> RenderedFigure:
    table = run.table("strata")
    shown = in_order(enough_images(table))
    budgets = sorted(shown["budget"].unique(), reverse=True)
    groups = len(shown[["stratum", "group"]].drop_duplicates())
    figure, axes = style.side_panels(len(budgets), 1.3 + 0.24 * groups)
    for ax, budget in zip(axes, budgets, strict=True):
        ax.set_title(f"{budget} tokens", fontsize=9)
        draw_strata(shown[shown["budget"] == budget], ax).set_xlabel("")
    axes[0].set_ylim(groups - 0.4, -0.5)
    figure.supxlabel("cIoU of LiteLVLM minus that of random tokens", fontsize=9)
    style.heading(figure, run.title("Where does LiteLVLM beat random tokens?"))
    what = f"per group; {READINGS}; 95 % intervals, paired, from resampling images; {WIDER}"
    if len(shown) < len(table):
        n_excluded = len(table[["stratum", "group"]].drop_duplicates()) - groups
        what += f"; groups with fewer than {MIN_IMAGES} images left out: {n_excluded}"
    return RenderedFigure(figure, protocol_note(run, shown, what))


DRAWINGS = {
    "ablation_strata": Drawing(
        "sweep",
        "cIoU minus that of random tokens, by kind, size and number of words.",
        _strata,
        ("strata",),
    ),
}
