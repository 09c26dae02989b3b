"""Masks of a few expressions over the budgets, as the sweep saved them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from litelvlm.analysis.studies.examples_file import FILE, Example, read_examples
from litelvlm.figures import style
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved


def draw_examples(examples: Sequence[Example], axes: Sequence[Sequence[Axes]]) -> list[Axes]:
    """One row per expression, one panel per budget.

    Args:
        examples: Overlays with their titles.
        axes: Grid of axes [examples, panels].
    """
    for row, example in zip(axes, examples, strict=True):
        for ax, title, panel in zip(row, example.titles, example.panels, strict=True):
            ax.imshow(panel)
            ax.set_title(title, fontsize=7.5, loc="center", pad=2)
            ax.set_axis_off()
        words = row[0].text(
            0, 1.14, f"“{example.text}”", transform=row[0].transAxes, fontsize=8.5, va="bottom"
        )
        words.set_in_layout(False)  # else a long expression widens the first column
    return [ax for row in axes for ax in row]


def panel_grid(examples: Sequence[Example]) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a row of panels per expression, each row as high as its picture needs."""
    width = len(examples[0].panels)
    heights = [example.panels[0].shape[0] / example.panels[0].shape[1] for example in examples]
    size = 1.5 * width, 0.5 + sum(1.5 * height + 0.55 for height in heights)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.14))
    return figure, figure.subplots(
        len(examples), width, squeeze=False, height_ratios=heights
    ).tolist()


def _examples(run: Saved) -> RenderedFigure:
    method, examples = read_examples(run.folder)
    figure, axes = panel_grid(examples)
    draw_examples(examples, axes)
    figure.suptitle(
        run.title(f"Masks over budgets, {style.label(method)}"), x=0.01, ha="left", fontsize=11
    )
    shares = ", ".join(str(example.percentile) for example in examples)
    note = (
        f"n = {len(examples)} expressions, at percentiles {shares} of IoU at the largest budget, "
        "not chosen by eye. "
    )
    marks = "Green: the true mask; orange: the model's. "
    return RenderedFigure(
        figure,
        note + marks + "Pruned tokens are dark. The border that CLIP does not see is unchanged.",
    )


DRAWINGS = {
    "examples": Drawing(
        "sweep", "Masks of a few expressions over the budgets.", _examples, files=(str(FILE),)
    ),
}
