"""Where the parts of a small interval plot stand; the templates draw them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.formatting import interval, number

WIDTH = 300
"""Width of a plot in its own units."""
_MARGIN = 14
_ROOM = 0.12
"""Share of the values' range that stays free on either side."""
_LONGEST = 28
"""Characters that find room under a plot."""


@dataclass(frozen=True)
class IntervalPlot:
    """An estimate, its intervals and the value they are compared with, from left to right.

    Attributes:
        estimate: Place of the estimate, from 0 to ``WIDTH``.
        low: Place of the lower end of the interval over images.
        high: Of its upper end.
        wide_low: Of the lower end of the interval over images and categories; ``low`` without one.
        wide_high: Of its upper end.
        null: Of the value that they are compared with.
        null_text: That value, and what it stands for where that is short.
        anchor: How the text at ``null`` is aligned: "start", "middle" or "end".
        label: The same in words, for those who do not see it.
    """

    estimate: float
    low: float
    high: float
    wide_low: float
    wide_high: float
    null: float
    null_text: str
    anchor: str
    label: str


def interval_plot(claim: Claim, together: Sequence[Claim] = ()) -> IntervalPlot | None:
    """The plot of a claim; None without an interval.

    Args:
        claim: With its estimate.
        together: Claims that share its axis, so that their plots can be compared.
    """
    if not _drawable(claim):
        return None
    shared = [claim, *filter(_drawable, together)]
    values = [v for c in shared for v in (c.estimate, c.null, c.low, c.high, *c.widest)]
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or 1.0
    scale = (WIDTH - 2 * _MARGIN) / (high - low + 2 * room)

    def place(value: float) -> float:
        return round(_MARGIN + (value - low + room) * scale, 1)

    null = place(claim.null)
    return IntervalPlot(
        estimate=place(claim.estimate),
        low=place(claim.low),
        high=place(claim.high),
        wide_low=place(claim.widest[0]),
        wide_high=place(claim.widest[1]),
        null=null,
        null_text=null_words(claim),
        anchor="start" if null < WIDTH * 0.4 else "end" if null > WIDTH * 0.6 else "middle",
        label=(
            f"estimate {number(claim.estimate)}, interval {interval(*claim.widest)}, "
            f"compared with {number(claim.null)}"
        ),
    )


def null_words(claim: Claim) -> str:
    """The value that a claim is compared with, and what it stands for if that is short.

    Example:
        >>> from litelvlm.analysis.runs.claims import make_claim
        >>> from litelvlm.analysis.stats.bootstrap import Estimate
        >>> found = Estimate(0.2, 0.1, 0.3, 50, 120, "")
        >>> null_words(make_claim("a", "It is more.", found, 0, "cIoU of random tokens; 5 seeds"))
        '0: cIoU of random tokens'
    """
    plain = claim.null_description.split(";")[0].split(": ")[-1].split(",")[0]
    value = number(claim.null)
    return f"{value}: {plain}" if len(plain) <= _LONGEST else f"compared with {value}"


def _drawable(claim: Claim) -> bool:
    numbers = (claim.estimate, claim.low, claim.high, claim.null)
    return all(map(math.isfinite, numbers))
