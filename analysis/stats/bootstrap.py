"""Estimates with intervals: arrays in, a NamedTuple out; the image is the unit that is resampled.

Expressions of one image share its pixels, so their scores are not independent and an interval that
resamples expressions is too narrow. Every statistic here is a function of *sums over images* (a
mean is sum / count, cIoU is sum of intersections / sum of unions), so a bootstrap draw is a vector
of image counts times a matrix of image sums.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike

from litelvlm.analysis.stats.ends import (
    OPEN,
    Ends,
    constant_bound,
    constant_tails,
    finite,
)
from litelvlm.arrays import Array

LEVEL = 0.95
"""Level of intervals, unless a claim settled on another."""
RESAMPLES = 10_000
ONE_IMAGE = "undefined: one image"
ALIKE = 0.1
"""Share of resamples that hold no image beside the end of a measure: of one such image in many they
are 0.37, of two 0.14, of three 0.05."""
CHUNK_CELLS = 2_000_000  # image counts held at once (16 MB), whatever the number of images


class Estimate(NamedTuple):
    """A number with its interval.

    Attributes:
        value: The statistic on all data.
        low: Lower end of the interval; nan if it is undefined.
        high: Upper end of the interval; nan if it is undefined.
        n_images: Images it rests on.
        n: Samples (usually expressions) it rests on.
        method: How the interval was made, or why there is none.
    """

    value: float
    low: float
    high: float
    n_images: int
    n: int
    method: str

    @property
    def defined(self) -> bool:
        """Whether there is an interval (with one image there is none)."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    def line(self, name: str = "value") -> dict[str, object]:
        """The estimate as columns of a table: the value under a name, low, high, n_images and n."""
        return {
            name: self.value,
            "low": self.low,
            "high": self.high,
            "n_images": self.n_images,
            "n": self.n,
        }


class Bootstrap(NamedTuple):
    """A statistic on all data and on every resample.

    Attributes:
        value: One number per column of the statistic [k].
        draws: The same on each resample [B, k]; no rows if there is only one image.
        n_images: Images resampled.
        n: Samples behind them.
        reach: The least and the largest value that can be. Where all images but one or two lie at
            an end, resampling shows too little spread and an exact bound takes over.
        yes_no: Whether values are 0 or 1, or differences of such: then an exact bound takes over
            wherever all images are alike.
    """

    value: Float[Array, "k"]
    draws: Float[Array, "b k"]
    n_images: int
    n: int
    reach: Ends = OPEN
    yes_no: bool = False

    def estimates(self, level: float = LEVEL) -> list[Estimate]:
        """Percentile interval of each column; undefined without draws.

        Raises:
            ValueError: If the level does not lie between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, got {level}; 0.95 is usual")
        if not len(self.draws):
            return [self.undefined(float(value), ONE_IMAGE) for value in self.value]
        found = []
        for value, draws in zip(self.value, self.draws.T, strict=True):
            low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
            method = f"{level:.0%} image bootstrap, B={len(draws)}"
            below, above = self._anchors(float(value), draws)
            if below is not None:
                low = min(low, constant_bound(below, self.reach, self.n_images, level)[0])
            if above is not None:
                high = max(high, constant_bound(above, self.reach, self.n_images, level)[1])
            if below is not None or above is not None:
                method += ", exact bound where images are alike"
            found.append(
                Estimate(float(value), float(low), float(high), self.n_images, self.n, method)
            )
        return found

    def undefined(self, value: float, reason: str) -> Estimate:
        """A value without an interval, and why it has none."""
        return Estimate(value, np.nan, np.nan, self.n_images, self.n, reason)

    def p_values(self, null: float = 0.0, one_sided: bool = False) -> Float[Array, "k"]:
        """Bootstrap p-value of each column against ``null``; nan with one image.

        Args:
            null: Value to compare with.
            one_sided: Whether only values above ``null`` speak against it.
        """
        if not len(self.draws):
            return np.full(len(self.value), np.nan)
        below, above = self._tails(null)
        if one_sided:
            return below
        p: Array = np.minimum(1.0, 2 * np.minimum(below, above))
        return p

    def p_equivalent(self, margin: float, null: float = 0.0) -> Float[Array, "k"]:
        """p-value of two one-sided tests per column: small within ``margin`` of ``null``.

        At most .05 where the 90 % percentile interval lies inside the margin; nan with one image.

        Raises:
            ValueError: If the margin is not positive.
        """
        if margin <= 0:
            raise ValueError(f"a positive margin is needed, got {margin}")
        if not len(self.draws):
            return np.full(len(self.value), np.nan)
        larger: Array = np.maximum(self._tails(null - margin)[0], self._tails(null + margin)[1])
        return larger

    def _anchors(self, value: float, draws: Float[Array, "b"]) -> tuple[float | None, float | None]:
        """Values of like images whose exact bound limits the lower and the upper end, if any."""
        if not finite(self.reach):
            return None, None
        if self.yes_no and (draws == value).all():
            return value, value
        least, most = ((end, (draws == end).mean() >= ALIKE) for end in self.reach)
        return most[0] if most[1] else None, least[0] if least[1] else None

    def _tails(self, null: float) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
        """p-values of each column against a value of at most, and of at least, ``null``."""
        below, above = (
            (1 + beyond.sum(0)) / (1 + len(self.draws))
            for beyond in (self.draws <= null, self.draws >= null)
        )
        for column, (value, draws) in enumerate(zip(self.value, self.draws.T, strict=True)):
            tails = [
                constant_tails(alike, self.reach, self.n_images, null)[side]
                if alike is not None
                else 0.0
                for side, alike in enumerate(self._anchors(float(value), draws))
            ]
            below[column] = max(below[column], tails[0])
            above[column] = max(above[column], tails[1])
        return below, above


Statistic = Callable[[Float[Array, "b c"]], Float[Array, "b k"]]


def check_finite(values: Shaped[Array, "..."], what: str) -> None:
    """Refuse nan and infinity.

    Raises:
        ValueError: Naming ``what`` and the index of the first bad sample (first axis).
    """
    bad = ~np.isfinite(values)
    if bad.any():
        sample, *rest = np.argwhere(bad)[0].tolist()
        where = f"{sample}, column {rest[0]}" if rest else f"{sample}"
        raise ValueError(
            f"{what}: not a finite number at sample {where}; drop that sample with its reason"
        )


def image_sums(
    columns: Float[Array, "n c"], image_ids: Shaped[Array, "n"]
) -> Float[Array, "images c"]:
    """Sum each column within each image, in ascending order of image id.

    Raises:
        ValueError: If a value is not finite, an image id is missing, there is no sample, or the
            lengths differ.
    """
    if len(columns) == 0 or len(columns) != len(image_ids):
        raise ValueError(
            f"values and image ids must be as many and at least one, got {len(columns)}, "
            f"{len(image_ids)}"
        )
    check_finite(columns, "values")
    if pd.isna(image_ids).any():
        first = int(np.argmax(pd.isna(image_ids)))
        raise ValueError(f"sample {first} has no image id; give each its own where none is known")
    images, index = np.unique(image_ids, return_inverse=True)
    sums = np.zeros((len(images), columns.shape[1]))
    np.add.at(sums, index, columns)
    return sums


def bootstrap(
    columns: Float[Array, "n c"],
    image_ids: Shaped[Array, "n"],
    statistic: Statistic,
    resamples: int = RESAMPLES,
    seed: int = 0,
    reach: Ends = OPEN,
) -> Bootstrap:
    """Resample images with all their samples and recompute a statistic of column sums.

    Two calls with the same images, ``resamples`` and ``seed`` draw the same images, so their draws
    are paired.

    Args:
        columns: One row per sample.
        image_ids: The image of each sample.
        statistic: From column sums [b, c] to values [b, k].
        resamples: Number of draws.
        seed: Of the draws.
        reach: The least and the largest value that can be.

    Example:
        >>> import numpy as np
        >>> iou = np.array([[0.5], [0.7], [0.9]])
        >>> columns, images = np.c_[iou, np.ones(3)], np.array([1, 1, 2])
        >>> result = bootstrap(columns, images, lambda sums: sums[:, :1] / sums[:, 1:])
        >>> round(float(result.value[0]), 3), result.n_images
        (0.7, 2)
    """
    sums = image_sums(columns, image_ids)
    value = statistic(sums.sum(0, keepdims=True))[0]
    n_images = len(sums)
    if n_images == 1:
        return Bootstrap(value, np.empty((0, len(value))), 1, len(columns), reach)
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK_CELLS // n_images)
    draws = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        picked = (
            rng.integers(0, n_images, size=(size, n_images)) + n_images * np.arange(size)[:, None]
        )
        counts = np.bincount(picked.ravel(), minlength=size * n_images).reshape(size, n_images)
        draws.append(statistic(counts.astype(np.float64) @ sums))
    return Bootstrap(value, np.concatenate(draws), n_images, len(columns), reach)


def means(sums: Float[Array, "b c"]) -> Float[Array, "b k"]:
    """Statistic: every column over the last one (a column of ones gives means)."""
    value: Array = sums[:, :-1] / sums[:, -1:]
    return value


def ratios(sums: Float[Array, "b c"]) -> Float[Array, "b k"]:
    """Statistic: the first half of the columns over the second half, as in cIoU.

    A ratio whose denominator is 0 has a numerator of 0 too (empty prediction on empty target) and
    counts as 1.
    """
    numerator, denominator = np.split(sums, 2, axis=1)
    value: Array = np.divide(
        numerator, denominator, out=np.ones_like(numerator), where=denominator != 0
    )
    return value


def bootstrap_means(
    values: ArrayLike,
    image_ids: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
    reach: Ends = OPEN,
) -> Bootstrap:
    """Means over samples of many columns at once, images resampled.

    Args:
        values: One row per sample: an array [n, c], or a data frame.
        image_ids: The image of each sample.
        resamples: Number of draws.
        seed: Of the draws.
        reach: The least and the largest value that can be.
    """
    columns = np.asarray(values, dtype=np.float64)
    counted = np.column_stack([columns, np.ones(len(columns))])
    return bootstrap(counted, np.asarray(image_ids), means, resamples, seed, reach)


def mean_estimate(
    values: ArrayLike,
    image_ids: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
    reach: Ends = OPEN,
) -> Estimate:
    """Mean over samples with an image-clustered interval; pass differences to compare pairs.

    Values and image ids are arrays [n], columns of a data frame or lists.

    Example:
        >>> rows = pd.DataFrame({"iou": [0.5, 0.7, 0.9], "image_id": [1, 1, 2]})
        >>> round(mean_estimate(rows["iou"], rows["image_id"]).value, 3)
        0.7
    """
    column = np.asarray(values, dtype=np.float64)[:, None]
    return bootstrap_means(column, image_ids, resamples, seed, reach).estimates()[0]


def contrast(
    result: Bootstrap, combine: Callable[[Float[Array, "b k"]], Float[Array, "b j"]]
) -> Bootstrap:
    """Combine several paired statistics into new ones, such as a difference or a retention.

    Example:
        >>> import numpy as np
        >>> pair = bootstrap_means(np.array([[0.4, 0.5], [0.6, 0.5]]), np.array([1, 2]))
        >>> float(contrast(pair, lambda v: v[:, :1] - v[:, 1:]).value[0])
        0.0
    """
    return Bootstrap(
        combine(result.value[None])[0], combine(result.draws), result.n_images, result.n
    )
