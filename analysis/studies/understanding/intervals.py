"""Intervals where some resamples have no value, because they miss a whole group of questions."""

from dataclasses import dataclass

import numpy as np

from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate

FEWEST = 0.9
"""Share of the resamples that must have a value. A group on one or two images stays below it: such
resamples miss it in 37 % and 14 % of all cases."""


@dataclass(frozen=True)
class Interval:
    """An estimate, and what its resamples lack.

    Attributes:
        estimate: Its interval comes from the resamples with a value; its ends are nan where these
            are too few.
        missing: Resamples without a value.
        resamples: All of them.
    """

    estimate: Estimate
    missing: int
    resamples: int

    def note(self, name: str) -> str:
        """What a reader of this metric should know; empty if no resample is missing."""
        if not self.missing:
            return ""
        kept = self.resamples - self.missing
        found = f"comes from the other {kept}" if self.estimate.defined else "is not given"
        return f"{name}: {self.missing} of {self.resamples} resamples miss it; its interval {found}"


def intervals_of(result: Bootstrap) -> list[Interval]:
    """Percentile interval of each column, from the resamples that have a value."""
    found = []
    for place, value in enumerate(result.value):
        draws = result.draws[:, place]
        there = draws[np.isfinite(draws)]
        column = Bootstrap(np.array([value]), there[:, None], result.n_images, result.n)
        enough = len(there) >= FEWEST * len(draws)
        if enough:
            estimate = column.estimates()[0]
        else:
            reason = f"undefined: {len(draws) - len(there)} of {len(draws)} resamples miss it"
            estimate = column.undefined(float(value), reason)
        found.append(Interval(estimate, len(draws) - len(there), len(draws)))
    return found
