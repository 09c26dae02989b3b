"""A finished run as figures see it: its record, its tables, its rows; nothing else is read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.runs.saved import SavedRun
from litelvlm.figures import style

INTERVALS = "95 % intervals from resampling images"


class Saved(SavedRun):
    """A finished run with titles for its figures."""

    def title(self, text: str) -> str:
        """A title with the marks this run needs."""
        return style.title(text, miniature=is_miniature(self.record), partial=self.summary.partial)


class RenderedFigure(NamedTuple):
    """A figure and what its caption says beyond the summary: n, and how intervals were made."""

    figure: Figure
    note: str


@dataclass(frozen=True)
class Drawing:
    """A named figure.

    Attributes:
        study: Whose runs it is drawn from.
        summary: What it shows, in one sentence.
        draw: From a run to the figure.
        tables: Tables of the summary that it reads; a run may lack one that would be empty.
        columns: By table, columns that it reads and that tables of earlier versions lack.
        files: Files of the run folder that it reads.
        protocol: The one protocol whose runs it is drawn from; any if left out.
        full_size: Whether it is drawn of full-size models alone, since it misleads of a miniature.
        drawable: Whether its tables have lines to draw; a run whose settings leave out what the
            figure shows has none.
        opens: Its rank among the figures that may open a report, the best is 1; 0 for one that
            does not.
    """

    study: str
    summary: str
    draw: Callable[[Saved], RenderedFigure]
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    protocol: str = ""
    full_size: bool = False
    drawable: Callable[[Saved], bool] = lambda run: True
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    opens: int = 0

    def fits(self, run: Saved) -> bool:
        """Whether a run holds what this figure is drawn from."""
        if run.summary.study != self.study or self.obstacle(run.record):
            return False
        if not set(self.tables) <= set(run.summary.tables) or self.outdated(run):
            return False
        if not all((run.folder / name).is_file() for name in self.files):
            return False
        return self.drawable(run)

    def outdated(self, run: Saved) -> str:
        """What the run's tables lack because an earlier version wrote them; empty if nothing."""
        for name, columns in self.columns.items():
            if name in run.summary.tables:
                missing = [column for column in columns if column not in run.table(name)]
                if missing:
                    return (
                        f"its table {name!r} was written by an earlier version and has no "
                        f"{' and no '.join(missing)}; run `litelvlm study {self.study}` again"
                    )
        return ""

    def obstacle(self, record: RunRecord) -> str:
        """Why the figure is not drawn of a run of its study, with the fix; empty if it is."""
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
        return ""


def sample_note(table: pd.DataFrame, what: str = INTERVALS, counted: str = "expressions") -> str:
    """State n of a table, as a range if its lines differ, and what the intervals are."""
    n, images = (_span(table[column]) for column in ("n", "n_images"))
    return f"n = {n} {counted} from {images} images; {what}."


def protocol_note(run: Saved, table: pd.DataFrame, what: str = INTERVALS) -> str:
    """``sample_note`` with the protocol of the run, which is left out where it is "single"."""
    if run.record.protocol == "single":
        return sample_note(table, what)
    protocol = protocol_of(run.record.protocol)
    return sample_note(
        table, f"{run.record.protocol} protocol: {protocol.description}; {what}", protocol.counted
    )


def _span(counts: "pd.Series[int]") -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
