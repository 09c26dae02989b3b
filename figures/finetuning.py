"""Figure of the fine-tuning study: what is left of the choice of tokens once the model adapts."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from litelvlm.analysis.studies.scores import MAIN
from litelvlm.figures import style
from litelvlm.figures.axes import dots, heatmap
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved, sample_note
from litelvlm.figures.style import Look

TRAININGS = (
    Look("#7f7f7f", "o", "-", "before fine-tuning"),
    Look("#56B4E9", "s", "-", "fine-tuned with every token"),
    Look("#D55E00", "^", "-", "fine-tuned with the method itself"),
)
"""How the models before, of every token and of the method itself are drawn."""


def tuning_name(tuned_with: str) -> str:
    """What a model was fine-tuned with, in words."""
    words = {"untuned": "not fine-tuned", "none": "every token"}
    return words.get(tuned_with, style.label(tuned_with))


def draw_own(table: pd.DataFrame, ax: Axes) -> Axes:
    """The score of each method in three models, with intervals over images.

    Args:
        table: The lines of the trained budget of the summary's table "scores".
        ax: Where to draw.
    """
    methods = sorted(dict.fromkeys(table["method"]), key=style.rank)
    for number, look in enumerate(TRAININGS):
        tuned = {method: ("untuned", "none", method)[number] for method in methods}
        lines = table[table["tuned_with"] == table["method"].map(tuned)]
        lines = lines.set_index("method").loc[methods]
        places = np.arange(len(methods)) + 0.22 * (number - 1)
        dots(ax, lines, "value", places, [look.colour] * len(methods))
        ax.scatter([], [], c=look.colour, s=18, label=look.label)
    ax.set_yticks(np.arange(len(methods)), [style.label(method) for method in methods])
    ax.invert_yaxis()
    ax.set(xlabel=MAIN.label, ylabel="")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=7)
    return ax


def draw_crossed(table: pd.DataFrame, ax: Axes) -> Axes:
    """The score of every model under every method.

    Args:
        table: The lines of the trained budget of the summary's table "scores".
        ax: Where to draw; a row is a model, a column the method of its evaluation.
    """
    wide = table.pivot(index="tuned_with", columns="method", values="value")
    order = sorted(wide.columns, key=style.rank)
    wide = wide.loc[["untuned", "none", *order], order]
    wide.index = pd.Index([tuning_name(str(name)) for name in wide.index])
    wide.columns = pd.Index([style.label(str(name)) for name in wide.columns])
    centre = float(np.median(wide.to_numpy()))
    heatmap(ax, wide, MAIN.label, centre=centre, texts=wide.map("{:.3f}".format))
    ax.tick_params(axis="x", labelrotation=30)
    ax.set(xlabel="evaluated with", ylabel="fine-tuned with")
    return ax


@Drawing("finetuning", ("scores",))
def finetuning(run: Saved) -> RenderedFigure:
    """What is left of the choice of tokens once the model is fine-tuned with them."""
    table = run.table("scores")
    trained = table[table["trained"] & (table["method"] != "none")]
    figure, (left, right) = style.new_panels(2, 11.0, 3.8)
    draw_own(trained, left)
    draw_crossed(trained, right)
    style.heading(figure, run.title("Does the choice matter once the model may adapt?"))
    what = (
        f"{int(trained['budget'].iloc[0])} tokens; means of {int(table['n_trainings'].max())} "
        "trainings; bars: 95 % intervals from resampling images"
    )
    return RenderedFigure(figure, sample_note(trained, what))


DRAWINGS = (finetuning,)
