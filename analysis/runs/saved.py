"""A finished run, read from its folder when asked."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from litelvlm.analysis.runs.folder import read_record, read_rows, read_summary
from litelvlm.analysis.runs.record import RunRecord, Summary


class SavedRun:
    """Rows, claims and tables of a finished run.

    Args:
        folder: The run folder.

    Raises:
        FileNotFoundError: If it holds no record, or no summary because parts are missing.
        ValueError: If one of the two does not fit its schema.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record: RunRecord = read_record(self.folder)
        self.summary: Summary = read_summary(self.folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Everything measured, one line each; `litelvlm ls columns STUDY` explains the columns."""
        return read_rows(self.folder)

    @property
    def claims(self) -> pd.DataFrame:
        """One line per claim: statement, estimate, interval, null and verdict."""
        return pd.DataFrame([claim.model_dump() for claim in self.summary.claims])

    @property
    def interpretation(self) -> str:
        """What the verdicts mean together, in words."""
        return self.summary.interpretation

    def table(self, name: str) -> pd.DataFrame:
        """One of the summary's tables.

        Raises:
            ValueError: If there is none of that name; the message names those there are.
        """
        return self.summary.table(name)


class FigureFiles(NamedTuple):
    """One figure of a run on disk.

    Attributes:
        name: In the table of figures.
        caption: What it shows, with n and the kind of interval.
        files: Format ("png", "svg", "pdf") to file.
        opens: Its rank among the figures that may open a report, the best is 1; 0 for one that
            does not.
    """

    name: str
    caption: str
    files: Mapping[str, Path]
    opens: int
