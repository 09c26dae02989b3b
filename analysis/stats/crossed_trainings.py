"""Intervals over trainings and categories: what a mean says of other trainings of other categories.

Every training reads the same categories, so the two are crossed. The variance of the mean is the
variance of training means over their number plus that of category means over theirs. What a
category does in one training only is in both, so the interval is rather too wide than too narrow:
in simulations it covered the true mean 92 to 99 times in a hundred.

Source: Cornfield and Tukey (1956) for the expected mean squares; Satterthwaite (1946) for the
degrees of freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from litelvlm.analysis.stats.bootstrap import LEVEL, Estimate, check_finite
from litelvlm.analysis.stats.ends import OPEN, Ends
from litelvlm.analysis.stats.student import StudentMean
from litelvlm.arrays import NDArray


@dataclass(frozen=True)
class CrossedTrainings(StudentMean):
    """A mean over trainings and categories with its error.

    Attributes:
        n_trainings: Rows of the table.
        n_categories: Columns of the table.
    """

    n_trainings: int
    n_categories: int

    def estimate(self) -> Estimate:
        """The mean with Student's t interval at 95 %; its unit is the training."""
        n, (low, high) = self.n_trainings, self.ends()
        method = f"{LEVEL:.0%} t interval over {n} trainings and {self.n_categories} categories"
        return Estimate(self.value, low, high, n, n, method)


def crossed_trainings(
    values: Float[NDArray[np.float64], "trainings categories"], reach: Ends = OPEN
) -> CrossedTrainings:
    """Mean of a table with crossed random effects of training and category.

    Args:
        values: One for each training and category; pass differences to compare pairs.
        reach: The least and the largest mean that can be.

    Raises:
        ValueError: If a value is not finite, or the table has fewer than two rows or columns.

    Example:
        >>> found = crossed_trainings(np.array([[0.0, 1.0], [2.0, 3.0]]))
        >>> found.value, round(found.error, 3), round(found.df, 2)
        (1.5, 1.118, 1.47)
    """
    check_finite(values, "values")
    trainings, categories = values.shape
    if trainings < 2 or categories < 2:
        raise ValueError(
            f"two trainings and two categories are needed, got {trainings} x {categories}"
        )
    of_trainings = float(values.mean(axis=1).var(ddof=1)) / trainings
    of_categories = float(values.mean(axis=0).var(ddof=1)) / categories
    variance = of_trainings + of_categories
    spread = of_trainings**2 / (trainings - 1) + of_categories**2 / (categories - 1)
    df = variance**2 / spread if spread > 0 else float(trainings - 1)
    error = float(np.sqrt(variance))
    return CrossedTrainings(float(values.mean()), error, df, trainings, categories, reach=reach)


def crossed_coefficients(
    values: Sequence[Float[NDArray[np.float64], "_ _"]],
    design: Float[NDArray[np.float64], "all k"],
    reach: Ends = OPEN,
) -> list[CrossedTrainings]:
    """Coefficients of a design of trainings, each with its error over trainings and categories.

    Trainings may read different numbers of categories: those that read the same form a group. A
    coefficient weighs the means of trainings. Its error has a part of trainings, from the residuals
    of least squares, and one of categories, from the coefficient of each category in each group.

    Args:
        values: One table of trainings by categories for each group; their sizes may differ.
        design: One line for each training, in the order of the groups; a coefficient per column.
        reach: The least and the largest coefficient that can be.

    Raises:
        ValueError: If a value is not finite, a group has one category only, the lines do not match,
            or no training is to spare for the error.

    Example:
        A column of ones gives the mean, with the error of all trainings and categories.

        >>> groups = [np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 1.0], [2.0, 2.0]])]
        >>> found = crossed_coefficients(groups, np.ones((4, 1)))[0]
        >>> found.value, round(found.error, 3)
        (1.5, 0.479)
    """
    for table in values:
        check_finite(table, "values")
        if table.shape[1] < 2:
            raise ValueError(f"two categories are needed, got a table of {table.shape}")
    means = np.concatenate([table.mean(axis=1) for table in values])
    if len(means) != len(design):
        raise ValueError(f"{len(design)} lines of the design for {len(means)} trainings")
    rest = len(means) - int(np.linalg.matrix_rank(design))
    if rest < 1:
        raise ValueError(f"{len(means)} trainings leave none to spare; measure more")
    weights = np.linalg.pinv(design)
    residual = float(((means - design @ (weights @ means)) ** 2).sum()) / rest
    ends = np.cumsum([len(table) for table in values])[:-1]
    by_group = np.split(weights, ends, axis=1)
    found = []
    for number, line in enumerate(weights):
        parts = [(residual * float((line**2).sum()), rest)]
        for table, group in zip(values, by_group, strict=True):
            of_categories = group[number] @ table
            n = table.shape[1]
            parts.append((float(of_categories.var(ddof=1)) / n, n - 1))
        variance = sum(part for part, _ in parts)
        spread = sum(part**2 / free for part, free in parts)
        found.append(
            CrossedTrainings(
                float(line @ means),
                float(np.sqrt(variance)),
                variance**2 / spread if spread > 0 else float(rest),
                len(means),
                max(table.shape[1] for table in values),
                reach=reach,
            )
        )
    return found
