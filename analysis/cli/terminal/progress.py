"""How far a command with several studies is: which one runs, and about how long the rest takes."""

import sys
import time
from collections.abc import Callable, Sequence

from tqdm.auto import tqdm

from litelvlm.analysis.pages.findings import finding
from litelvlm.analysis.runs.told.watching import Event

# One `make study` on two cores; the four that it leaves out by their ratio to these on 24 images.
# Only the ratios are used: they say how much of the work a study is.
SECONDS = {
    "reversal": 48,
    "mechanism": 26,
    "sink": 24,
    "sink_causal": 60,
    "importance": 57,
    "faithfulness": 31,
    "sweep": 146,
    "ablations": 31,
    "emergence": 5,
}
USUAL = 50
"""Of a study that is not in the table."""
SOON = 2
"""The remaining time is shown after this many seconds."""


class Progress:
    """Watches studies that run one after another.

    Args:
        studies: Their names, in order.
        clock: Seconds since some moment.
    """

    def __init__(self, studies: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.studies, self.clock, self.start = list(studies), clock, clock()
        self.computed: set[str] = set()  # the others had all their parts already

    def __call__(self, event: Event) -> str | None:
        """Text behind the bar; a study's verdict is told as soon as it has one."""
        if event.kind == "finished":
            if event.summary is not None:
                tell(f"{self.place(event.study)}, {event.study}: {finding(event.summary)}")
            return None
        if event.kind == "started":
            return None
        self.computed.add(event.study)
        return f"{self.place(event.study)}{self.left(event)}"

    def place(self, study: str) -> str:
        """Which study of how many."""
        return f"study {self.studies.index(study) + 1} of {len(self.studies)}"

    def left(self, event: Event) -> str:
        """About how long the rest takes; empty as long as too little is done to say."""
        here = self.studies.index(event.study)
        share = event.done / event.total if event.total else 1.0
        weights = [SECONDS.get(name, USUAL) for name in self.studies]
        known = [
            weight if name in self.computed else 0
            for name, weight in zip(self.studies[:here], weights, strict=False)
        ]
        done, rest = sum(known) + share * weights[here], (1 - share) * weights[here]
        rest += sum(weights[here + 1 :])
        elapsed = self.clock() - self.start
        if done <= 0 or elapsed < SOON:
            return ""
        return f", {about(elapsed * rest / done)} left"


def about(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> about(200), about(50)
        ('about 3 minutes', 'less than a minute')
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes} minute{'' if minutes == 1 else 's'}"


def tell(text: str) -> None:
    """One line on stderr, above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
