"""Where a measure ends: an interval of its mean that went on would name what cannot be."""

import math

Ends = tuple[float, float]
"""The least and the largest value that can be."""
OPEN: Ends = (-math.inf, math.inf)
POSITIVE: Ends = (0.0, math.inf)
SHARE: Ends = (0.0, 1.0)
INDEX: Ends = (-1.0, 1.0)
"""Of indices and correlations, and of the difference of two shares."""
DIFFERENCE: Ends = (-2.0, 2.0)
"""Of the difference of two indices."""


def cut(low: float, value: float, high: float, ends: Ends) -> tuple[float, float]:
    """Both sides of an interval, cut where the measure ends and never inside of the estimate.

    What lies beyond cannot be, so the rest holds the true value as often as the whole did.

    Example:
        >>> cut(-0.9, 0.1, 1.1, INDEX)
        (-0.9, 1.0)
    """
    return max(low, min(ends[0], value)), min(high, max(ends[1], value))


def at_end(value: float, ends: Ends) -> bool:
    """Whether a mean lies where its measure ends, which has two ends."""
    return math.isfinite(ends[1] - ends[0]) and value in ends


def end_bound(value: float, ends: Ends, n: int, level: float) -> tuple[float, float]:
    """Interval of a mean whose ``n`` units all lie at one end, where none can show a spread.

    As many as 1 - ((1 - level) / 2)^(1/n) of all units could lie at the other end unseen (Clopper
    and Pearson 1934).

    Example:
        >>> low, high = end_bound(1.0, SHARE, 20, 0.95)
        >>> round(low, 3), high
        (0.832, 1.0)
    """
    away = (1 - ((1 - level) / 2) ** (1 / n)) * (ends[1] - ends[0])
    return (value, value + away) if value == ends[0] else (value - away, value)


def end_tails(value: float, ends: Ends, n: int, null: float) -> tuple[float, float]:
    """p-values of such a mean against one of at most, and of at least, ``null``; 0 if none can be.

    Example:
        >>> low, high = end_tails(1.0, SHARE, 20, 0.9)
        >>> round(low, 3), high
        (0.122, 1.0)
    """
    share = min(max((null - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)
    if value == ends[0]:
        return float(null >= ends[0]), float((1 - share) ** n)
    return float(share**n), float(null <= ends[1])
