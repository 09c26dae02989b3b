"""The factorial of precision, method and budget as arrays: losses and interactions in cIoU."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.stats.bootstrap import Bootstrap, contrast
from litelvlm.analysis.stats.crossed import Crossed
from litelvlm.analysis.studies.quantisation.config import FULL
from litelvlm.analysis.studies.sweep.estimates import (
    cell_index,
    crossed_of,
    linear_ciou,
    score_bootstrap,
)
from litelvlm.analysis.studies.sweep.wide import MethodBudget, Wide, widen
from litelvlm.arrays import Array

Term = tuple[float, str, MethodBudget]
"""A weight, a precision, and a method with its budget."""


class FactorialEffect(NamedTuple):
    """A weighted sum of scores: resampled over images, and over images and categories."""

    over_images: Bootstrap
    crossed: Crossed


class Factorial(NamedTuple):
    """Scores of every precision, method and budget, all from the same resamples of images.

    Attributes:
        wide: Lines of all cells; the method of a cell is its ``label``.
        scores: Of all cells.
        precisions: Beside all bits.
        cells: Methods and budgets that prune.
        n_tokens: Visual tokens before pruning.
    """

    wide: Wide
    scores: Bootstrap
    precisions: tuple[str, ...]
    cells: tuple[MethodBudget, ...]
    n_tokens: int

    @property
    def unpruned(self) -> MethodBudget:
        """The cell that keeps every token."""
        return UNPRUNED, self.n_tokens

    def effect(self, terms: Sequence[Term]) -> FactorialEffect:
        """A weighted sum of cIoU."""
        named = [
            (weight, (label(precision, cell[0]), cell[1])) for weight, precision, cell in terms
        ]
        weights = np.array([weight for weight, _ in named])
        places = [cell_index(self.wide, cell, "ciou") for _, cell in named]

        def combine(values: Float[Array, "b k"]) -> Float[Array, "b 1"]:
            total: Array = values[:, places] @ weights[:, None]
            return total

        lines = sum(
            (weight * linear_ciou(self.wide, cell) for weight, cell in named),
            start=np.zeros(len(self.wide.image_ids)),
        )
        return FactorialEffect(contrast(self.scores, combine), crossed_of(self.wide, lines))

    def loss(self, precision: str, cell: MethodBudget) -> FactorialEffect:
        """What a cell lacks to the unpruned model with all bits."""
        return self.effect([(1.0, FULL, self.unpruned), (-1.0, precision, cell)])

    def interaction(self, precision: str, cells: Sequence[MethodBudget]) -> FactorialEffect:
        """Loss of both, less the loss of fewer bits, less the loss of pruning; mean over cells."""
        share = 1 / len(cells)
        terms: list[Term] = [(1.0, precision, self.unpruned), (-1.0, FULL, self.unpruned)]
        for cell in cells:
            terms += [(share, FULL, cell), (-share, precision, cell)]
        return self.effect(terms)


def label(precision: str, method: str) -> str:
    """Name of a method in one precision.

    Example:
        >>> label("nf4", "litelvlm")
        'litelvlm in nf4'
    """
    return f"{method} in {precision}"


def make_factorial(rows: pd.DataFrame) -> Factorial:
    """Scores of all cells from the rows of the study."""
    named = [
        label(str(precision), str(method))
        for precision, method in zip(rows["precision"], rows["method"], strict=True)
    ]
    wide = widen(rows.assign(method=named))
    whole = rows[rows["method"] == UNPRUNED]
    pruned = rows[rows["method"] != UNPRUNED]
    found = pruned[["method", "budget"]].drop_duplicates()
    cells = [(str(m), int(b)) for m, b in zip(found["method"], found["budget"], strict=True)]
    return Factorial(
        wide,
        score_bootstrap(wide),
        tuple(str(name) for name in rows["precision"].unique() if name != FULL),
        tuple(sorted(cells, key=lambda cell: (cell[0], -cell[1]))),
        int(whole["budget"].iloc[0]),
    )
