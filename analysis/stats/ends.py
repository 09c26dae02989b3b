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


def finite(ends: Ends) -> bool:
    """Whether a measure has two ends."""
    return math.isfinite(ends[1] - ends[0])


def hides(value: float, ends: Ends, yes_no: bool = False) -> bool:
    """Whether equal values may hide others: at an end of the measure, of yes or no anywhere.

    Elsewhere equal values of a measure that varies are equal by their making.
    """
    return finite(ends) and (yes_no or value in ends)


def constant_bound(value: float, ends: Ends, n: int, level: float) -> tuple[float, float]:
    """Interval of a mean whose ``n`` units all have one value, where none can show a spread.

    As many as 1 - ((1 - level) / 2)^(1/n) of all units could lie at an end unseen (Clopper and
    Pearson 1934). A measure without ends gives a point.

    Example:
        >>> low, high = constant_bound(1.0, SHARE, 20, 0.95)
        >>> round(low, 3), high
        (0.832, 1.0)
    """
    if not finite(ends):
        return value, value
    unseen = 1 - ((1 - level) / 2) ** (1 / n)
    return value - unseen * (value - ends[0]), value + unseen * (ends[1] - value)


def constant_tails(value: float, ends: Ends, n: int, null: float) -> tuple[float, float]:
    """p-values of such a mean against one of at most, and of at least, ``null``; 0 if none can be.

    Example:
        >>> low, high = constant_tails(1.0, SHARE, 20, 0.9)
        >>> round(low, 3), high
        (0.122, 1.0)
    """
    if value == null:
        return 1.0, 1.0
    beyond = ends[0] if null < value else ends[1]  # where unseen units would have to lie
    share = (value - null) / (value - beyond) if math.isfinite(beyond) and value != beyond else 1.0
    p = float(max(1 - share, 0.0) ** n) if math.isfinite(beyond) else 0.0
    return (p, 1.0) if null < value else (1.0, p)
