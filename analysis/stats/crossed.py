"""Intervals over images and categories: what a mean over expressions says of other categories.

An image shows several categories and a category occurs in several images, so the two are crossed
and neither contains the other. With few categories of uneven sizes a percentile interval from
resampling both (the pigeonhole bootstrap, Owen 2007) is far too narrow, and so is the sandwich of
Cameron, Gelbach and Miller (2011) with few degrees of freedom: it rests on deviations from a mean
that the large categories pull towards themselves (``benchmarks/crossed.py``). Here the variance of
the mean is put together from components instead: categories, images, both together, expressions.
The component of categories comes from the spread of category means, each weighted by how well it is
known, so that a small category counts as one more draw and not as noise.

Source: components of images and expressions by Henderson's method 3, given the categories; that of
categories by the generalised Q statistic (Paule and Mandel 1982; DerSimonian and Kacker 2007);
degrees of freedom after Satterthwaite (1946).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from scipy import optimize

from litelvlm.analysis.stats.bootstrap import check_finite
from litelvlm.analysis.stats.ends import OPEN, Ends, hides
from litelvlm.analysis.stats.student import StudentMean
from litelvlm.arrays import Array

MIN_CATEGORIES = 3
"""With two categories the spread between them has one degree of freedom, which says nothing."""
_JITTER, _NONE = 1e-15, 1e-12


@dataclass(frozen=True)
class Crossed(StudentMean):
    """A mean over expressions with its error over images and categories.

    Attributes:
        n_images: Images it rests on.
        n_categories: Categories it rests on; 0 if the data state none.
        n: Expressions it rests on.
    """

    n_images: int
    n_categories: int
    n: int

    @property
    def generalises(self) -> str:
        """What an interval of this mean generalises over, in words."""
        if self.defined:
            return f"other images and other categories ({self.n_categories} seen)"
        if self.n_categories == 0:
            return "other images; the data state no categories"
        if self.n_categories == 1:
            return "other images of the same single category"
        if self.n_categories < MIN_CATEGORIES:
            return f"other images of the same {self.n_categories} categories, too few for others"
        return "nothing beyond a single image"


def crossed_mean(
    values: Float[Array, "n"],
    image_ids: Shaped[Array, "n"],
    categories: Shaped[Array, "n"],
    reach: Ends = OPEN,
    weights: Float[Array, "_"] | None = None,
    yes_no: bool = False,
) -> Crossed:
    """Mean over expressions with crossed random effects of image and category.

    Args:
        values: One per expression; pass differences to compare pairs.
        image_ids: The image of each.
        categories: The category of each referent. A negative number means that none is stated; such
            expressions count as one category of their own, or, if all are such, as no category.
        reach: The least and the largest mean that can be, such as -1 and 1 of an index.
        weights: Share of each in the mean, such as its pixels, at least 0; alike if left out. A
            category then counts by its weight.
        yes_no: Whether values are 0 or 1, or differences of such.

    Returns:
        The mean; without an error where there are fewer than three categories or a single image.

    Raises:
        ValueError: If a value or weight is not finite, a weight is negative or all are 0, there is
            no value, or the lengths differ.

    Example:
        >>> import numpy as np
        >>> found = crossed_mean(np.arange(6.0), np.arange(6) // 2, np.array([1, 2, 3, 1, 2, 3]))
        >>> found.value, found.n_categories, found.df >= 2
        (2.5, 3, True)
    """
    if not len(values) or not len(values) == len(image_ids) == len(categories):
        raise ValueError(
            "values, image ids and categories must be as many and at least one, got "
            f"{len(values)}, {len(image_ids)} and {len(categories)}"
        )
    check_finite(values, "values")
    if weights is None:
        weights = np.ones(len(values))
    check_finite(weights, "weights")
    counts = weights > 0
    if (weights < 0).any() or not counts.any() or len(weights) != len(values):
        raise ValueError(
            "weights must be as many as the values, at least 0 and not all 0, got "
            f"{len(weights)}, the smallest {weights.min():g}"
        )
    n, values, weights = len(values), values[counts], weights[counts] / weights[counts].mean()
    image = np.unique(image_ids[counts], return_inverse=True)[1]
    category = np.unique(categories[counts], return_inverse=True)[1]
    n_images = int(image.max()) + 1
    known = stated_categories(categories[counts])
    value = float(np.average(values, weights=weights))
    if known < MIN_CATEGORIES or n_images < 2:
        return Crossed(value, np.nan, np.nan, n_images, known, n, reach=reach)
    scale = float(np.ptp(values))
    if not scale:
        alike = min(n_images, known) if hides(value, reach, yes_no) else 0
        return Crossed(value, 0.0, known - 1.0, n_images, known, n, reach=reach, alike=alike)
    scaled = (values - value) / scale  # so that no threshold below depends on the unit
    sizes = np.bincount(category, weights=weights)
    means = np.bincount(category, weights=weights * scaled) / sizes
    noise = _noise_of_means(scaled - means[category], weights, image, category)
    shares = sizes / sizes.sum()
    concentration = float(shares @ shares)
    between = _between(means, noise)
    within_error = float(shares @ noise @ shares)
    variance = between * concentration + within_error
    # Var(between) by the delta method: the Q statistic has variance 2 (C - 1), its slope is -tr P.
    slope = float(np.trace(_projection(noise, between)))
    spread = 2 * (known - 1) / slope**2 * concentration**2
    spread += 2 * within_error**2 / (n_images - 1)
    satterthwaite = 2 * variance**2 / spread if spread > 0 else 0.0
    df = max(satterthwaite, 1 / concentration - 1, 1.0)
    error = float(np.sqrt(variance)) * scale
    return Crossed(value, error, df, n_images, known, n, reach=reach)


def difference_of(first: Crossed, second: Crossed, ends: Ends) -> Crossed:
    """A mean less another one, taken as independent; the side with fewer categories is counted.

    What both have in common, as images or categories that lie in both, makes the true spread
    smaller. The degrees of freedom are Welch's.
    """
    squares = np.array([side.error**2 for side in (first, second)])
    variance = float(squares.sum())
    spread = float((squares**2 / [first.df, second.df]).sum())
    return Crossed(
        first.value - second.value,
        float(np.sqrt(variance)),
        variance**2 / spread if spread > 0 else min(first.df, second.df),
        min(first.n_images, second.n_images),
        min(first.n_categories, second.n_categories),
        first.n + second.n,
        reach=ends,
        alike=min(first.alike, second.alike),
    )


def stated_categories(categories: Shaped[Array, "n"]) -> int:
    """How many categories there are, those without one counted as one; 0 if none is stated."""
    stated = categories.dtype.kind not in "if" or bool((categories >= 0).any())
    return len(np.unique(categories)) if stated else 0


def _noise_of_means(
    rest: Float[Array, "n"],
    weights: Float[Array, "n"],
    image: Shaped[Array, "n"],
    category: Shaped[Array, "n"],
) -> Float[Array, "c c"]:
    """Covariance of category means given the categories, from deviations within categories."""
    n_images, n_categories = int(image.max()) + 1, int(category.max()) + 1
    cell, place = np.unique(category * n_images + image, return_inverse=True)
    row, column = np.divmod(cell, n_images)
    weight, sizes = np.bincount(place, weights), np.bincount(category, weights)
    squares, sums = np.bincount(place, weights**2), np.bincount(place, weights * rest)
    # Expressions of one cell (one image and one category) differ by their own noise only.
    left = float((weights * (rest - (sums / weight)[place]) ** 2).sum())
    free = float((weight - squares / weight).sum())
    least = _NONE * len(rest)  # what rounding leaves of nothing; weights are 1 on average
    own = left / free if free > least else 0.0
    of_category = np.bincount(row, squares)
    reached = float(sizes.sum() - (weight**2 / sizes[row]).sum())
    left = float((weights * rest**2).sum() - own * (sizes - of_category / sizes).sum())
    cells = max(left / reached, 0.0) if reached > least else 0.0
    # What cells of one image have in common is the image's share of that.
    reach = weight * (1 - weight / sizes[row])
    of_image, reach_of_image = (
        np.bincount(column, weights=part, minlength=n_images) for part in (sums, reach)
    )
    shared = float((of_image**2).sum() - (sums**2).sum())
    pairs = float((reach_of_image**2).sum() - (reach**2).sum())
    images = float(np.clip(shared / pairs, 0.0, cells)) if pairs > 1e-9 else cells
    parts = np.zeros((n_categories, n_images))
    parts[row, column] = weight / sizes[row]
    noise: Array = images * parts @ parts.T
    noise += np.diag((cells - images) * (parts**2).sum(1) + own * of_category / sizes**2)
    return noise


def _projection(noise: Float[Array, "c c"], between: float) -> Float[Array, "c c"]:
    """Inverse covariance of category means with their weighted mean projected out."""
    jitter = _JITTER * max(1.0, float(np.trace(noise)))  # equal expressions have no noise at all
    inverse = np.linalg.inv(noise + (between + jitter) * np.eye(len(noise)))
    ones = inverse.sum(1)
    found: Array = inverse - np.outer(ones, ones) / ones.sum()
    return found


def _between(means: Float[Array, "c"], noise: Float[Array, "c c"]) -> float:
    """Variance between categories: the one at which Q equals its degrees of freedom, or 0."""

    def excess(between: float) -> float:
        return float(means @ _projection(noise, between) @ means) - (len(means) - 1)

    if excess(0.0) <= 0:
        return 0.0
    upper = float(means.var(ddof=1)) + 1e-12
    while excess(upper) > 0:
        upper *= 4
    return float(optimize.brentq(excess, 0.0, upper))
