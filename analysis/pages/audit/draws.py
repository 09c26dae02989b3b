"""How far the score of one reading moves between runs that draw sentences and templates anew."""

from collections.abc import Sequence
from math import sqrt

import pandas as pd
from scipy import stats

from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.pages.audit.statements import Audited
from litelvlm.analysis.runs.outcome import Frozen
from litelvlm.analysis.studies.sweep.tables import seed_table

DRAWS = 16
"""Runs that are drawn: with so many the interval of the deviation ends at about 1.5 times it."""
LEVEL = 0.95


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
    def mean(self) -> float:
        """Mean cIoU over the runs.

        Example:
            >>> Draws(method="m", id="i", budget=8, reading="m", ciou=(0.25, 0.75)).mean
            0.5
        """
        return sum(self.ciou) / len(self.ciou)

    @property
    def deviation(self) -> float:
        """Standard deviation over the runs (divisor: their number less one)."""
        squares = sum((value - self.mean) ** 2 for value in self.ciou)
        return sqrt(squares / (len(self.ciou) - 1))

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval of ``deviation``, from the chi-squared distribution."""
        free, tail = len(self.ciou) - 1, (1 - LEVEL) / 2
        low, high = (float(stats.chi2.ppf(level, free)) for level in (1 - tail, tail))
        return self.deviation * sqrt(free / low), self.deviation * sqrt(free / high)


def draws_of(tables: Sequence[Audited], rows: pd.DataFrame) -> list[Draws]:
    """Scores by draw of every drawn reading and, after them, of the unpruned model.

    Args:
        tables: Methods of the audit.
        rows: Of a sweep in protocol "official".
    """
    scores = seed_table(rows).sort_values("seed")
    found = []
    for table in tables:
        for statement in table.statement:
            if not statement.drawn:
                continue
            for label in (Method.parse(statement.drawn).label, UNPRUNED):
                own = scores[scores["method"] == label]
                found += [
                    Draws(
                        method=table.method,
                        id=statement.id,
                        budget=budget,
                        reading=label,
                        ciou=tuple(own.loc[own["budget"] == budget, "ciou"].tolist()),
                    )
                    for budget in sorted(set(own["budget"].tolist()), reverse=True)
                ]
    return found
