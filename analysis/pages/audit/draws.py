"""How far the score of one reading moves between runs that draw sentences and templates anew."""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
import pandas as pd
from scipy import stats

from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.pages.audit.entries import Audited
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.studies.scores import SCORES
from litelvlm.analysis.studies.sweep.tables import seed_table

DRAWS = 16
"""Runs that are drawn: with so many the interval of the deviation ends at about 1.5 times it."""


class Draws(Frozen):
    """cIoU of one reading at one budget in several runs.

    Attributes:
        method: Of the audit.
        id: Of the statement.
        budget: Tokens kept; that of the unpruned model in its own line.
        reading: Its label.
        ciou: Of every run, in the order of the draws.
    """

    method: str
    id: str
    budget: int
    reading: str
    ciou: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """Standard deviation over the runs (divisor: their number less one)."""
        return float(np.std(self.ciou, ddof=1))

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval of ``deviation``, from the chi-squared distribution."""
        free = len(self.ciou) - 1
        low, high = (float(stats.chi2.ppf(level, free)) for level in (0.975, 0.025))
        return self.deviation * sqrt(free / low), self.deviation * sqrt(free / high)


def draws_of(tables: Sequence[Audited], rows: pd.DataFrame) -> Iterator[Draws]:
    """Scores by draw of every drawn reading and, after them, of the unpruned model.

    Args:
        tables: Methods of the audit.
        rows: Of a sweep in protocol "official".
    """
    scores = seed_table(rows, SCORES["ciou"]).sort_values("seed")
    drawn = [(table.method, one) for table in tables for one in table.statement if one.drawn]
    for method, one in drawn:
        for label in (Method.parse(one.drawn).label, UNPRUNED):
            own = scores[scores["method"] == label]
            for budget, runs in own.groupby("budget", sort=False):
                yield Draws(
                    method=method,
                    id=one.id,
                    budget=int(str(budget)),
                    reading=label,
                    ciou=tuple(runs["ciou"].tolist()),
                )
