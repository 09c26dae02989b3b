"""The scores of all prune points and windows together, so that they can be compared in pairs."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.studies.scores import SCORES, Score
from litelvlm.analysis.studies.sweep.paired import (
    MethodBudget,
    PairedScores,
    budgets_of,
    pair_scores,
)
from litelvlm.analysis.studies.video.rows import PUBLISHED

JF = SCORES["jf"]
ARM = ["point", "window"]
"""Columns that tell the rows of one prune point under one window."""
PAIRED = "pairing"
PAIRING = Score(
    PAIRED,
    "J&F of objects as matched, minus their own",
    (PAIRED, "n"),
    compared=True,
    reach=(-1.0, 1.0),
)
"""What each object gains where it may be paired with any prediction."""


@dataclass(frozen=True)
class PairedPoints:
    """One score of every method and budget at every prune point, on the same expressions.

    Attributes:
        paired: Of all cells; the method of a cell is its ``label``.
    """

    paired: PairedScores

    def cell(self, point: str, method: str, budget: int, window: str = PUBLISHED) -> MethodBudget:
        """Where the score of one method stands."""
        return label(point, window, method), budget

    def budgets(self, point: str, method: str = PAPER, window: str = PUBLISHED) -> list[int]:
        """Budgets of a method at a prune point, largest first; none if it was not run there."""
        return budgets_of(self.paired.cells, label(point, window, method))

    def unpruned(self, point: str, window: str = PUBLISHED) -> MethodBudget:
        """The unpruned model beside a prune point, where nothing is pruned."""
        name = label(point, window, UNPRUNED)
        return name, budgets_of(self.paired.cells, name)[0]


def label(point: str, window: str, method: str) -> str:
    """The name of one method at one point among all scores."""
    return f"{point} {window} {method}"


def paired_points(rows: pd.DataFrame, score: Score = JF) -> PairedPoints:
    """The scores of rows of all prune points."""
    named = [label(*names) for names in rows[[*ARM, "method"]].itertuples(index=False)]
    return PairedPoints(pair_scores(rows.assign(method=named), [score]))


def matched_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of objects that were paired anew, with what each gained."""
    if "matched_n" not in rows:
        return rows.iloc[:0].assign(**{PAIRED: 0.0})
    found = rows[rows["matched_n"] == 1]
    return found.assign(**{PAIRED: found["matched_jf"] - found["merged_jf"]})


def arms(rows: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The rows of each prune point and window, as columns that they share and a sweep's rows."""
    for (point, window), part in rows.groupby(ARM, sort=True):
        yield {"point": str(point), "window": str(window)}, part.drop(columns=ARM)
