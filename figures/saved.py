"""A finished run as figures see it: its record, its tables, its rows; nothing else is read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from litelvlm.analysis.runs.claims import in_unit
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.analysis.studies.examples import HOW_DRAWN

INTERVALS = "95 % intervals from resampling images"


class Saved(SavedRun):
    """A finished run with titles for its figures."""

    def title(self, text: str) -> str:
        """A title, marked for a miniature model and for a partial run."""
        found = {"miniature": is_miniature(self.record), "partial run": self.summary.partial}
        marks = ", ".join(mark for mark, holds in found.items() if holds)
        return f"{text} ({marks})" if marks else text


_LACKS = KeyError, pd.errors.UndefinedVariableError
"""What a table without some column raises."""


class OldRunError(ValueError):
    """A run of an earlier version lacks a column that a figure reads."""


class RenderedFigure(NamedTuple):
    """A figure and what its caption says beyond the summary: n, and how intervals were made."""

    figure: Figure
    note: str


@dataclass(frozen=True)
class Drawing:
    """A named figure.

    It decorates the function from a run to the figure, whose name and docstring it takes.

    Attributes:
        study: Whose runs it is drawn from.
        tables: Tables of the summary that it reads; a run may lack one that would be empty.
        files: Files of the run folder that it reads.
        protocol: The one protocol whose runs it is drawn from; any if left out.
        full_size: Whether it is drawn of full-size models alone, since it misleads of a miniature.
        drawable: Whether its tables have lines to draw; a run whose settings leave out what the
            figure shows has none.
        opens: Its rank among the figures that may open a report, the best is 1; 0 for one that
            does not.
        name: In the table of figures.
        summary: What it shows, in one sentence.
        draw: From a run to the figure.
    """

    study: str
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    protocol: str = ""
    full_size: bool = False
    drawable: Callable[[Saved], bool] = lambda run: True
    opens: int = 0
    name: str = ""
    summary: str = ""
    draw: Callable[[Saved], RenderedFigure] = lambda run: RenderedFigure(Figure(), "")

    def __call__(self, draw: Callable[[Saved], RenderedFigure]) -> "Drawing":
        """The figure that a function draws."""
        return replace(self, draw=draw, name=draw.__name__, summary=draw.__doc__ or "")

    def drawn(self, run: Saved) -> RenderedFigure:
        """The figure of a run.

        Raises:
            OldRunError: If the run is of an earlier version that lacks a column.
        """
        try:
            figure, note = self.draw(run)
            return RenderedFigure(figure, in_unit(note, run.record.unit))
        except _LACKS as error:
            raise OldRunError(f"figure {self.name!r} of {run.folder}: {_older(error)}") from error

    def obstacle(self, run: Saved) -> str:
        """Why the figure cannot be drawn of a run, with the fix; empty if it can."""
        record = run.record
        missing = [name for name in self.files if not (run.folder / name).is_file()]
        if run.summary.study != self.study:
            return f"it needs a run of the study {self.study!r}, and this is {record.study!r}"
        if self.protocol not in ("", record.protocol):
            return (
                f"it needs protocol {self.protocol!r}, and the run has {record.protocol!r}; "
                f"run `litelvlm study {self.study} --protocol {self.protocol}`"
            )
        if self.full_size and is_miniature(record):
            return (
                "it is drawn of full-size models alone; at the size of a miniature, choosing "
                "tokens takes longer than they save"
            )
        if missing:
            return f"the run has no {missing[0]}; {HOW_DRAWN}"
        try:
            able = set(self.tables) <= set(run.summary.tables) and self.drawable(run)
        except _LACKS as error:
            return _older(error)
        return "" if able else "the run has no lines for it"


def _older(error: Exception) -> str:
    return f"an earlier version made it ({error.args[0]}); run the study again"


def sample_note(
    table: pd.DataFrame,
    what: str = INTERVALS,
    counted: str = "expressions",
) -> str:
    """State n of a table, as a range if its lines differ, and what the intervals are, if any."""
    n, images = (span(table[column]) for column in ("n", "n_images"))
    if images == "1":
        return f"n = {n} {counted} from 1 image, which gives no interval; {what}."
    return f"n = {n} {counted} from {images} images; {what}."


def protocol_note(run: Saved, table: pd.DataFrame, what: str = INTERVALS) -> str:
    """``sample_note`` with the protocol of the run, which is left out where it is "single"."""
    if run.record.protocol == "single":
        return sample_note(table, what)
    protocol = protocol_of(run.record.protocol)
    what = f"{run.record.protocol} protocol: {protocol.description}; {what}"
    return sample_note(table, what, protocol.counted)


def span(counts: "pd.Series[int]") -> str:
    """The least and the largest count in words; one number where they are equal."""
    return " to ".join(dict.fromkeys(str(int(end)) for end in (counts.min(), counts.max())))
