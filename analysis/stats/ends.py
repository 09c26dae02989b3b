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
