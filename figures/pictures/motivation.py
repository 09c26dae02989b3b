"""Motivating figures: similarity maps, attention of [EOS], and what each method keeps."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from litelvlm.analysis.inputs.methods import PAPER
from litelvlm.analysis.studies.chosen import RULE
from litelvlm.analysis.studies.motivation_file import (
    FILE,
    Motivation,
    MotivationExample,
    read_motivation,
)
from litelvlm.arrays import Array
from litelvlm.figures import style
from litelvlm.figures.pictures.examples import above, headline, page_grid
from litelvlm.figures.saved import Drawing, RenderedFigure, Saved

TRUTH = "#2fe0ac"
"""Colour of the true mask's outline."""
LETTERS = 20
"""Most letters of a method's name in one line above its picture."""
EDGES = np.linspace(-4, 4, 41)
"""Bins of the two distributions; what lies outside is counted in the outermost ones."""


def draw_maps(examples: Sequence[MotivationExample], axes: Sequence[Sequence[Axes]]) -> list[Axes]:
    """One row per expression: picture with the true mask, similarity map, attention of [EOS].

    Args:
        examples: Expressions.
        axes: Grid of axes [expressions, 3].
    """
    for example, (left, middle, right) in zip(examples, axes, strict=True):
        for ax in (left, middle):
            ax.imshow(example.picture)
            ax.contour(example.mask, levels=[0.5], colors=TRUTH, linewidths=1.2)
            ax.set_axis_off()
        middle.imshow(example.similarity, cmap="magma", alpha=0.85)
        middle.contour(example.mask, levels=[0.5], colors=TRUTH, linewidths=1.2)
        draw_words(example, right)
        above(left, headline(example.text, example.case), lines=0)
    return [ax for row in axes for ax in row]


def draw_words(example: MotivationExample, ax: Axes) -> Axes:
    """Attention of [EOS] to each word, with an equal share as a dotted line.

    Args:
        example: The expression.
        ax: Where to draw; one bar per word.
    """
    if not example.words:
        ax.set_axis_off()
        return ax
    places = np.arange(len(example.words))
    ax.bar(places, example.attention, color=style.colour("high_similarity"), width=0.7)
    ax.axhline(1 / len(example.words), color=style.MUTED, linewidth=0.8, linestyle=":")
    ax.set_xticks(
        places, example.words, rotation=60, ha="right", rotation_mode="anchor", fontsize=7
    )
    ax.set_ylabel("attention", fontsize=7.5)
    ax.tick_params(axis="y", labelsize=7)
    return ax


def draw_distributions(inside: Float[Array, "i"], outside: Float[Array, "o"], ax: Axes) -> Axes:
    """Similarity of tokens on and off the referent.

    Args:
        inside: Standardised similarities of tokens on the referent.
        outside: Of tokens off the referent.
        ax: Where to draw; a step per group, a line at its mean.
    """
    groups = (
        (inside, "on the referent", "litelvlm"),
        (outside, "off the referent", "high_similarity"),
    )
    for values, name, method in groups:
        density, _ = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES, density=True)
        ax.stairs(density, EDGES, color=style.colour(method), fill=True, alpha=0.25)
        ax.stairs(
            density,
            EDGES,
            color=style.colour(method),
            linewidth=1.3,
            label=f"{name}, {len(values)} tokens",
        )
        ax.axvline(values.mean(), color=style.colour(method), linewidth=1.2, linestyle="--")
    ax.set(
        xlabel="similarity to the text, in standard deviations from the image's mean",
        ylabel="density",
    )
    ax.legend(loc="upper left")
    return ax


def draw_methods(
    examples: Sequence[MotivationExample], axes: Sequence[Sequence[Axes]]
) -> list[Axes]:
    """One row per expression: the true mask, then one panel per method at the same budget.

    Args:
        examples: Expressions.
        axes: Grid of axes [expressions, 1 + methods].
    """
    for example, row in zip(examples, axes, strict=True):
        row[0].imshow(example.picture)
        row[0].contour(example.mask, levels=[0.5], colors=TRUTH, linewidths=1.2)
        row[0].set_title("true mask", fontsize=7, loc="center", pad=2)
        for ax, method, iou, panel in zip(
            row[1:], example.methods, example.ious, example.panels, strict=True
        ):
            ax.imshow(panel)
            name = fill(style.label(method), LETTERS)
            ax.set_title(f"{name}\nIoU {iou:.2f}", fontsize=7, loc="center", pad=2)
        for ax in row:
            ax.set_axis_off()
        most = max(fill(style.label(m), LETTERS).count("\n") for m in example.methods)
        above(row[0], headline(example.text, example.case), lines=2 + most)
    return [ax for row in axes for ax in row]


def _grid(
    width: float,
    height: float,
    rows: int,
    columns: int,
    width_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.14))
    axes = figure.subplots(rows, columns, squeeze=False, width_ratios=width_ratios)
    return figure, axes.tolist()


def _maps(run: Saved) -> RenderedFigure:
    found = read_motivation(run.folder)
    n = len(found.examples)
    figure, axes = _grid(style.PAGE, 0.4 + 2.1 * n, n, 3, width_ratios=(1.0, 1.0, 1.6))
    draw_maps(found.examples, axes)
    figure.suptitle(
        run.title("Where is the similarity high, and what does [EOS] attend to?"),
        x=0.01,
        ha="left",
        fontsize=11,
    )
    note = (
        f"n = {n} expressions. {RULE}. "
        "Green: the true mask. Bright: similar to the text. "
        "Bars: attention of [EOS] to each word, mean over layers and heads; "
        "dotted: an equal share. No intervals: these are single cases."
    )
    return RenderedFigure(figure, note)


def _distributions(run: Saved) -> RenderedFigure:
    found: Motivation = read_motivation(run.folder)
    figure, ax = style.new_figure(6.0, 3.2)
    draw_distributions(found.inside, found.outside, ax)
    ax.set_title(run.title("Is the referent less similar to its own text?"))
    note = (
        f"n = {found.n_images} expressions, the first of each of {found.n_images} images; "
        "dashed: means. No intervals: tokens of one image are not independent. "
        "The reversal study measures this with intervals."
    )
    return RenderedFigure(figure, note)


def _methods(run: Saved) -> RenderedFigure:
    found = read_motivation(run.folder)
    n, columns = len(found.examples), 1 + len(found.examples[0].methods)
    shapes = [example.picture.shape[:2] for example in found.examples]
    names = [fill(style.label(name), LETTERS) for name in found.examples[0].methods]
    lines = 2 + max(name.count("\n") for name in names)
    figure, axes = page_grid([height / width for height, width in shapes], columns, lines)
    draw_methods(found.examples, axes)
    figure.suptitle(
        run.title(f"Masks by method, {found.budget} tokens"), x=0.01, ha="left", fontsize=11
    )
    note = (
        f"n = {n} expressions. {RULE}, for {style.label(PAPER)}. "
        "Green: the true mask; orange: the model's mask. Pruned tokens are dark. "
        "A merged token has no single place, so only tokens with a place are bright."
    )
    return RenderedFigure(figure, note)


DRAWINGS = {
    "motivation_maps": Drawing(
        "sweep",
        "Similarity maps beside masks, and what [EOS] attends to.",
        _maps,
        files=(str(FILE),),
        opens=4,
    ),
    "motivation_distributions": Drawing(
        "sweep",
        "Similarity to the text of tokens on and off the referent.",
        _distributions,
        files=(str(FILE),),
    ),
    "methods": Drawing(
        "sweep",
        "Masks by method at one budget, successes beside failures.",
        _methods,
        files=(str(FILE),),
    ),
}
