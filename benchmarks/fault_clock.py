"""The command line on a machine whose clock is set back: at every start, and once on the way.

Usage: ``python benchmarks/fault_clock.py study sweep ... --out FOLDER``. Each start's clock is a
day behind that of the one before, and three seconds after the start it falls back by another hour.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import common  # noqa: F401 - takes this folder's statistics.py off the front of the path

from litelvlm.analysis.cli import main
from litelvlm.analysis.runs import folder as run_folder
from litelvlm.analysis.runs.origin import beginning
from litelvlm.data import files

DAY, HOUR = 86_400.0, 3_600.0
_REAL = time.time


def starts(out: Path) -> int:
    """How often the command was started for this output folder, this time included."""
    note = out.with_name(f"{out.name}.starts")
    count = int(note.read_text()) + 1 if note.exists() else 1
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(str(count))
    return count


def set_back(out: Path) -> None:
    """Put the clock of this process back."""
    days, begun = starts(out), time.monotonic()

    def clock() -> float:
        return _REAL() - days * DAY - (HOUR if time.monotonic() - begun > 3 else 0)

    def now() -> str:
        return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")

    time.time = clock
    if files.time is not time:
        raise RuntimeError("the files of a run read another clock")
    beginning.now = run_folder.now = now


if __name__ == "__main__":
    set_back(Path(sys.argv[sys.argv.index("--out") + 1]))
    sys.exit(main(sys.argv[1:]))
