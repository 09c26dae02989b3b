"""Figure of the causal sink study: what changes when [EOS] cannot use [SOS]?"""

import pandas as pd
from matplotlib.axes import Axes

from litelvlm.figures import style
from litelvlm.figures.axes import forest
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note

CHANGES = {
    "mask_sos": ("[SOS] hidden", "#D55E00"),
    "zero_sos_value": ("value of [SOS] set to zero", "#E69F00"),
    "mean_sos_value": ("mean value of [SOS]", "#8C8C8C"),
    "mask_content": ("a random content token hidden", "#0072B2"),
    "mask_word": ("each word hidden in turn", "#56B4E9"),
}
"""Interventions in the order in which they are shown, with names and colours."""
MEASURES = {"d_ri": "change of the reversal index", "d_ts": "change of its dependence on the text"}


def effects_of(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Lines of one measure: interventions in all layers, in the last third, in single layers."""
    chosen = table[table["measure"] == measure]
    changes = list(CHANGES)
    places = [
        "all",
        "last third",
        *sorted(set(chosen["layer_set"]) - {"all", "last third"}, key=_number),
    ]
    order = chosen["layer_set"].map(places.index) * len(changes) + chosen["intervention"].map(
        changes.index
    )
    return chosen.assign(order=order).sort_values("order")


def _number(layer: str) -> int:
    return int(layer.split()[-1])


def draw_effects(table: pd.DataFrame, measure: str, ax: Axes) -> Axes:
    """One dot with its interval per intervention and set of layers.

    Args:
        table: The summary's table "effects": intervention, layer_set, measure, mean, low, high.
        measure: "d_ri" or "d_ts".
        ax: Where to draw, interventions in all layers on top.
    """
    chosen = effects_of(table, measure)
    names = [
        f"{CHANGES[c][0]}, {place}"
        for c, place in zip(chosen["intervention"], chosen["layer_set"], strict=True)
    ]
    forest(
        ax,
        chosen,
        "mean",
        names,
        [CHANGES[change][1] for change in chosen["intervention"]],
        null=0.0,
    )
    ax.set(xlabel=MEASURES[measure], ylabel="")
    return ax


def _effects(run: Saved) -> RenderedFigure:
    table = run.table("effects")
    lines = effects_of(table, "d_ri")
    figure, ax = style.new_figure(6.6, 1.2 + 0.2 * len(lines))
    draw_effects(table, "d_ri", ax).set_title(run.title("Does the sink cause the reversal?"))
    return RenderedFigure(figure, sample_note(lines))


DRAWINGS = {
    "sink_effects": Drawing(
        "sink_causal",
        "Change of the reversal index when [EOS] cannot use [SOS], or a word.",
        _effects,
        ("effects",),
    ),
}
