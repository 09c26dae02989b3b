"""A clock that is set back: by a day at every start, and once by an hour on the way."""

import time
from datetime import UTC, datetime
from pathlib import Path

from litelvlm.analysis.runs import folder as run_folder
from litelvlm.analysis.runs.origin import beginning
from litelvlm.data import files

DAY, HOUR, WAIT = 86_400.0, 3_600.0, 0.5
_REAL = time.time


def set_back(out: Path) -> None:
    """Put the clock of this process back by as many days as the command was started before.

    It falls back by another hour half a second later.
    """
    note, begun = out.with_name(f"{out.name}.starts"), time.monotonic()
    days = int(note.read_text()) + 1 if note.exists() else 1
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(str(days))

    def clock() -> float:
        return _REAL() - days * DAY - (HOUR if time.monotonic() - begun > WAIT else 0)

    def now() -> str:
        return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")

    time.time = clock
    if files.time is not time:
        raise RuntimeError("the files of a run read another clock")
    beginning.now = run_folder.now = now
