"""What a run tells while it computes: for progress bars, messages and experiment trackers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litelvlm.analysis.runs.record import Summary


@dataclass(frozen=True)
class Event:
    """One step of a run.

    Attributes:
        kind: "started", then "progress" after each image, then "finished".
        study: Name of the study.
        folder: Run folder.
        done: Samples of this process that are finished.
        total: Samples that this process computes; those of an earlier one are not counted.
        summary: Claims and tables of a whole run, with "finished" only.
    """

    kind: Literal["started", "progress", "finished"]
    study: str
    folder: Path
    done: int = 0
    total: int = 0
    summary: Summary | None = None


Watcher = Callable[[Event], str | None]
"""Takes each event; a text that it returns stands behind the progress bar."""


def nobody(event: Event) -> None:
    """Watch nothing."""
