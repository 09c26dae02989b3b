"""The factorial of precision, method and budget as arrays: losses and interactions."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.studies.quantisation.config import FULL
from litelvlm.analysis.studies.scores import MAIN, Score
from litelvlm.analysis.studies.sweep.effect import PairedEffect
from litelvlm.analysis.studies.sweep.paired import (
    MethodBudget,
    PairedScores,
    pair_scores,
)

Term = tuple[float, str, MethodBudget]
"""A weight, a precision, and a method with its budget."""


class Factorial(NamedTuple):
    """Scores of every precision, method and budget, all from the same resamples of images.

    Attributes:
        paired: Scores of all cells; the method of a cell is its ``label``.
        score: In which losses and interactions are.
        precisions: Beside all bits.
        cells: Methods and budgets that prune.
        n_tokens: Visual tokens before pruning.
    """

    paired: PairedScores
    score: Score
    precisions: tuple[str, ...]
    cells: tuple[MethodBudget, ...]
    n_tokens: int

    @property
    def unpruned(self) -> MethodBudget:
        """The cell that keeps every token."""
        return UNPRUNED, self.n_tokens

    def effect(self, terms: Sequence[Term]) -> PairedEffect:
        """A weighted sum of scores."""
        named = [(weight, (label(way, cell[0]), cell[1])) for weight, way, cell in terms]
        return self.paired.weighted(self.score, named)

    def loss(self, precision: str, cell: MethodBudget) -> PairedEffect:
        """What a cell lacks to the unpruned model with all bits."""
        return self.effect([(1.0, FULL, self.unpruned), (-1.0, precision, cell)])

    def interaction(self, precision: str, cells: Sequence[MethodBudget]) -> PairedEffect:
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
    whole = rows[rows["method"] == UNPRUNED]
    pruned = rows[rows["method"] != UNPRUNED]
    found = pruned[["method", "budget"]].drop_duplicates()
    cells = [(str(m), int(b)) for m, b in zip(found["method"], found["budget"], strict=True)]
    return Factorial(
        pair_scores(rows.assign(method=named)),
        MAIN,
        tuple(str(name) for name in rows["precision"].unique() if name != FULL),
        tuple(sorted(cells, key=lambda cell: (cell[0], -cell[1]))),
        int(whole["budget"].iloc[0]),
    )
