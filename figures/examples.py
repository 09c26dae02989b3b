"""Masks of a few expressions over the budgets, as the sweep saved them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from litelvlm.analysis.studies.examples import FILE, RULE, Example, read_examples
from litelvlm.figures import style
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

TOP, LONGEST = 0.3, 9.0
"""Room for the figure's title, and the longest figure that fits on a page, in inches."""


def draw_examples(examples: Sequence[Example], axes: Sequence[Sequence[Axes]]) -> list[Axes]:
    """One row per expression, one panel per budget.

    Args:
        examples: Overlays with their titles.
        axes: Grid of axes [examples, panels].
    """
    for row, example in zip(axes, examples, strict=True):
        for ax, title, panel in zip(row, example.titles, example.panels, strict=True):
            ax.imshow(panel)
            ax.set_title(title.replace(", ", "\n"), fontsize=7.5, loc="center", pad=2)
            ax.set_axis_off()
        above(row[0], headline(example.text, example.case), lines_of(example))
    return [ax for row in axes for ax in row]


def headline(text: str, case: str) -> str:
    """An expression, and what it stands for where that is known."""
    return f"“{text}”   {case}" if case else f"“{text}”"


def above(ax: Axes, words: str, lines: int) -> None:
    """Write words above the title of a row's first panel, which has some lines."""
    pad = 4 + 9.5 * lines
    text = ax.annotate(
        words,
        (0, 1),
        xytext=(0, pad),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        va="bottom",
    )
    text.set_in_layout(False)  # else a long expression widens the first column


def panel_grid(examples: Sequence[Example]) -> tuple[Figure, list[list[Axes]]]:
    """A figure as wide as a page, with a row of panels per expression, as high as its picture."""
    shapes = [example.panels[0].shape[:2] for example in examples]
    heights = [height / width for height, width in shapes]
    return page_grid(heights, len(examples[0].panels), max(map(lines_of, examples)))


def lines_of(example: Example) -> int:
    """Lines of the highest title of an example's panels."""
    return 1 + max(title.count(", ") for title in example.titles)


def page_grid(
    heights: Sequence[float], columns: int, lines: int
) -> tuple[Figure, list[list[Axes]]]:
    """A grid of pictures on one page, with room for a headline and titles above each row.

    Args:
        heights: Height over width of the pictures of each row.
        columns: Pictures of a row.
        lines: Of the titles above the pictures.
    """
    titles = 0.32 + 0.13 * lines
    room = LONGEST - TOP - titles * len(heights)
    side = min(style.PAGE / columns, room / sum(heights))
    size = style.PAGE, TOP + sum(side * height + titles for height in heights)
    top = 1 - (TOP + 0.14) / size[1]  # the headline of the first row is not in the layout
    engine = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.02, rect=(0, 0, 1, top))
    figure = Figure(figsize=size, layout=engine)
    return figure, figure.subplots(
        len(heights), columns, squeeze=False, height_ratios=heights
    ).tolist()


def _examples(run: Saved) -> RenderedFigure:
    method, examples = read_examples(run.folder)
    figure, axes = panel_grid(examples)
    draw_examples(examples, axes)
    figure.suptitle(
        run.title(f"Masks over budgets, {style.label(method)}"), x=0.01, ha="left", fontsize=11
    )
    note = f"n = {len(examples)} expressions. {RULE}. "
    marks = "Green: the true mask; orange: the model's. "
    return RenderedFigure(
        figure,
        note + marks + "Pruned tokens are dark. What CLIP does not see is hatched.",
    )


DRAWINGS = {
    "examples": Drawing(
        "sweep",
        "Masks over the budgets, successes beside failures.",
        _examples,
        files=(str(FILE),),
        opens=3,
    ),
}
