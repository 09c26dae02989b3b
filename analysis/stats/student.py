"""A mean with its error, judged by Student's t, or by an exact bound where all values are alike."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy import special

from litelvlm.analysis.stats.bootstrap import LEVEL, check_finite
from litelvlm.analysis.stats.ends import OPEN, Ends, constant_bound, constant_tails, cut, hides
from litelvlm.arrays import NDArray


@dataclass(frozen=True)
class StudentMean:
    """A mean with its error, judged by Student's t.

    Attributes:
        value: The mean.
        error: Its standard error; nan if nothing is known about it.
        df: Degrees of freedom of that error; nan likewise.
        reach: The least and the largest mean that can be, where the interval ends.
        alike: Units that all have this value, where an exact bound replaces Student's t; 0 if they
            differ.
    """

    value: float
    error: float
    df: float
    reach: Ends = field(default=OPEN, kw_only=True)
    alike: int = field(default=0, kw_only=True)

    @property
    def defined(self) -> bool:
        """Whether there is an interval."""
        return bool(np.isfinite(self.error))

    def ends(self, level: float = LEVEL) -> tuple[float, float]:
        """Student's t interval; nan twice if it is undefined."""
        if not self.defined:
            return np.nan, np.nan
        if self.alike:
            return constant_bound(self.value, self.reach, self.alike, level)
        half = float(special.stdtrit(self.df, (1 + level) / 2)) * self.error
        return cut(self.value - half, self.value, self.value + half, self.reach)

    def p_value(self, null: float = 0.0, one_sided: bool = False) -> float:
        """p-value of Student's t test against ``null``; nan if undefined.

        Args:
            null: Value to compare with.
            one_sided: Whether only values above ``null`` speak against it.
        """
        below, above = self._tails(null)
        return below if one_sided else float(np.minimum(1.0, 2 * np.minimum(below, above)))

    def p_equivalent(self, margin: float, null: float = 0.0) -> float:
        """p-value of two one-sided t tests: small if the mean is within ``margin`` of ``null``.

        Raises:
            ValueError: If the margin is not positive.
        """
        if margin <= 0:
            raise ValueError(f"a positive margin is needed, got {margin}")
        return float(np.maximum(self._tails(null - margin)[0], self._tails(null + margin)[1]))

    def _tails(self, null: float) -> tuple[float, float]:
        """p-values against a mean of at most, and of at least, ``null``."""
        if not self.defined:
            return np.nan, np.nan
        if self.alike or self.error == 0:
            reach = self.reach if self.alike else OPEN
            return constant_tails(self.value, reach, self.alike, null)
        t = (self.value - null) / self.error
        return float(special.stdtr(self.df, -t)), float(special.stdtr(self.df, t))


def student_mean(values: Float[NDArray[np.float64], " n"], reach: Ends = OPEN) -> StudentMean:
    """Mean of independent units, such as trainings; nothing is known of its error with one.

    Args:
        values: One for each unit, of which there is at least one.
        reach: The least and the largest mean that can be.

    Raises:
        ValueError: If a value is not finite.
    """
    check_finite(values, "values")
    n, mean = len(values), float(values.mean())
    if n == 1:
        return StudentMean(mean, np.nan, np.nan, reach=reach)
    alike = n if np.ptp(values) == 0 and hides(mean, reach) else 0
    error = float(values.std(ddof=1) / np.sqrt(n)) if np.ptp(values) else 0.0
    return StudentMean(mean, error, n - 1.0, reach=reach, alike=alike)
