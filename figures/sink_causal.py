"""Figure of the causal sink study: what changes when [EOS] cannot use [SOS]?"""

from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from litelvlm.figures import style
from litelvlm.figures.axes import WIDER, forest
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

CHANGES = {
    "mask_sos": ("[SOS] hidden", "#D55E00"),
    "zero_sos_value": ("value of [SOS] set to zero", "#E69F00"),
    "mean_sos_value": ("mean value of [SOS]", "#8C8C8C"),
    "mask_content": ("a random content token hidden", "#0072B2"),
    "zero_content_value": ("value of a content token set to zero", "#009E73"),
    "mask_word": ("each word hidden in turn", "#56B4E9"),
}
"""Interventions in the order in which they are shown, with names and colours."""
MEASURES = {
    "abs_d_ri": "size of the change of the reversal index",
    "kept_changed": "share of kept tokens exchanged, 1 − Jaccard",
    "text_moved": "turn of the text embedding, 1 − cosine",
    "d_ri": "signed change of the reversal index",
}
LETTERS = 24
"""Most letters in one line below a panel."""
SIZES = ("abs_d_ri", "kept_changed", "text_moved")
"""Measures of the size of a change, one panel each."""


def effects_of(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Lines of one measure: interventions in all layers, in the last third, in single layers."""
    chosen = table[table["measure"] == measure]
    single = set(chosen["layer_set"]) - {"all", "last third"}
    places = ["all", "last third", *sorted(single, key=lambda layer: int(layer.split()[-1]))]
    changes = list(CHANGES)
    order = chosen["layer_set"].map(places.index) * len(changes)
    order += chosen["intervention"].map(changes.index)
    return chosen.assign(order=order).sort_values("order")


def draw_effects(table: pd.DataFrame, measure: str, ax: Axes) -> Axes:
    """One dot with its interval per intervention and set of layers.

    Args:
        table: The summary's table "effects": intervention, layer_set, measure, mean, low, high.
        measure: One of ``MEASURES``.
        ax: Where to draw, interventions in all layers on top.
    """
    chosen = effects_of(table, measure)
    places = chosen["layer_set"].replace("all", "all layers")
    pairs = zip(chosen["intervention"], places, strict=True)
    names = [f"{CHANGES[change][0]}, {place}" for change, place in pairs]
    colours = [CHANGES[change][1] for change in chosen["intervention"]]
    forest(ax, chosen, "mean", names, colours)
    ax.set(xlabel=MEASURES[measure])
    return ax


@Drawing("sink_causal", ("effects",))
def sink_effects(run: Saved) -> RenderedFigure:
    """How much index, kept tokens and embedding change without [SOS], or without a word."""
    table = run.table("effects")
    measures = [name for name in SIZES if (table["measure"] == name).any()]
    lines = effects_of(table, measures[0])
    figure, axes = style.new_panels(len(measures), style.PAGE, 1.3 + 0.17 * len(lines))
    for measure, ax in zip(measures, axes, strict=True):
        draw_effects(table, measure, ax).set_xlim(left=0)
        ax.set_ylim(len(lines) - 0.4, -0.6)
        ax.tick_params(labelsize=7)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.set_xlabel(fill(MEASURES[measure], LETTERS), fontsize=8)
        if ax is not axes[0]:
            ax.set_yticklabels([])
    style.heading(figure, run.title("Does the sink cause the reversal?"))
    what = (
        f"means of absolute changes per expression; 95 % intervals from resampling images; {WIDER}"
    )
    return RenderedFigure(figure, sample_note(lines, what))


DRAWINGS = (sink_effects,)
