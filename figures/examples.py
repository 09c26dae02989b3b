"""Masks of a few expressions over the budgets, as the sweep saved them."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from litelvlm.analysis.studies.examples import FILE, RULE, Example, read_examples
from litelvlm.analysis.studies.scores import score_of_one
from litelvlm.figures import style
from litelvlm.figures.axes import literal
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

TOP, LONGEST = 0.3, 9.0
"""Room for the figure's title, and the longest figure that fits on a page, in inches."""


def draw_examples(examples: Sequence[Example]) -> Figure:
    """A figure on one page with a row per expression and a panel per budget.

    Above each row stands the expression, and what it stands for where that is known.
    """
    heights = [panel.shape[0] / panel.shape[1] for panel in (one.panels[0] for one in examples)]
    lines = [1 + max(title.count(", ") for title in example.titles) for example in examples]
    columns, titles = len(examples[0].panels), 0.32 + 0.13 * max(lines)
    room = LONGEST - TOP - titles * len(heights)
    side = min(style.PAGE / columns, room / sum(heights))
    size = style.PAGE, TOP + sum(side * height + titles for height in heights)
    top = 1 - (TOP + 0.14) / size[1]  # the headline of the first row is not in the layout
    engine = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.02, rect=(0, 0, 1, top))
    figure = Figure(figsize=size, layout=engine)
    axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for row, example, n_lines in zip(axes, examples, lines, strict=True):
        for ax, title, panel in zip(row, example.titles, example.panels, strict=True):
            ax.imshow(panel)
            ax.set_title(title.replace(", ", "\n"), fontsize=7.5, loc="center", pad=2)
            ax.set_axis_off()
        words = row[0].annotate(
            literal(f"“{example.text}”   {example.case}".rstrip()),
            (0, 1),
            xytext=(0, 4 + 9.5 * n_lines),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8.5,
            va="bottom",
        )
        words.set_in_layout(False)  # else a long expression widens the first column
    return figure


@Drawing("sweep", files=(str(FILE),), opens=4)
def examples(run: Saved) -> RenderedFigure:
    """Masks over the budgets, successes beside failures."""
    method, shown = read_examples(run.folder)
    figure = draw_examples(shown)
    style.heading(figure, run.title(f"Masks over budgets, {style.label(method)}"))
    marks = "Green: the true mask; orange: the model's."
    tokens = "Pruned tokens are dark. What CLIP does not see is hatched."
    if "jf" in run.rows:
        tokens = "Of each clip the first, the middle and the last frame are shown."
    rule = RULE.format(score=score_of_one(run.rows)[1])
    note = f"n = {len(shown)} expressions. {rule}. {marks} {tokens}"
    return RenderedFigure(figure, note)


DRAWINGS = (examples,)
