"""How far a command with several studies is: which one runs, and about how long the rest takes."""

import sys
import time
from collections.abc import Callable, Sequence

from tqdm.auto import tqdm

from litelvlm.analysis.pages.findings import finding
from litelvlm.analysis.runs.messages.events import Event
from litelvlm.analysis.studies.stories import story_of

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
        """Text after the bar; a study's verdict is printed as soon as there is one."""
        if event.kind == "finished":
            if event.summary is not None:
                write_above_bar(
                    f"{self.place(event.study)}, {event.study}: {finding(event.summary)}"
                )
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
        weights = [story_of(name).seconds for name in self.studies]
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


def write_above_bar(text: str) -> None:
    """One line on stderr, above a bar if there is one."""
    tqdm.write(text, file=sys.stderr)
