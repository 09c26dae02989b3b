"""How far scores of some images and draws may lie from one official run over the whole splits.

The published number is one run of the official evaluation: all images of a split, one draw of
expressions and templates, printed with one decimal. Ours is the mean of several draws on all or
some of the same images. Two things move the difference: which images are in our part, and the draws
of both sides. On the whole split the first vanishes, because both sides have the same images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from litelvlm.arrays import Array

ROUNDING = 0.001 / np.sqrt(12)
"""Standard deviation of rounding to 0.1 percent."""


class Spread(NamedTuple):
    """A score of several draws, and the standard error of its distance from one official run.

    Attributes:
        ciou: Mean over draws, 0 to 1; of a share, that share.
        error: Standard error; nan with one image.
    """

    ciou: float
    error: float


class SplitPixels(NamedTuple):
    """What one method has on one split.

    Attributes:
        inter: Pixels of the intersections, summed over the expressions of an image.
        union: Pixels of the unions, likewise.
        n_whole: Images of the whole split.
        ordered: Whether the images stand in the order of a list from which they were taken at even
            distances. Then neighbours are alike, and the variance between images is half the mean
            square of the differences of neighbours: what the order explains does not count.
    """

    inter: Float[Array, "images draws"]
    union: Float[Array, "images draws"]
    n_whole: int
    ordered: bool = False

    @property
    def ciou(self) -> float:
        """Mean over draws."""
        return float((self.inter.sum(0) / self.union.sum(0)).mean())

    @property
    def influence(self) -> Float[Array, "images draws"]:
        """What each image and draw adds to the distance of the cIoU from its mean.

        cIoU is linearised: (I - c U) over the mean sum of the unions.
        """
        return (self.inter - self.ciou * self.union) / float(self.union.sum(0).mean())


def average_against_one_run(splits: Sequence[SplitPixels]) -> Spread:
    """The mean cIoU of splits, and how far one official run over all of them may lie from it.

    The variance between images counts with the finite-population correction, that within images
    (between draws) with the share of images; the official run adds one more draw over all images.
    With one draw nothing is known of the spread within images, and that between images, which
    holds it, stands for it. The splits are independent samples, so their variances add up.

    Args:
        splits: One method on every split.

    Source: Cochran 1977, Sampling Techniques, third edition, equation 11.24 (two stages). Wolter
    2007, Introduction to Variance Estimation, second edition, section 8.2 (differences of
    neighbours).
    """
    value = float(np.mean([split.ciou for split in splits]))
    variance = sum(
        _ours(split, split.influence) + _theirs(split, split.influence) for split in splits
    )
    return Spread(value, _error(variance / len(splits) ** 2))


def share_against_one_run(method: Sequence[SplitPixels], whole: Sequence[SplitPixels]) -> Spread:
    """The mean cIoU of a method over that of the unpruned model.

    Our two sides have the same images and the same draws, so each image and draw counts with the
    difference of its influences on both (a ratio, linearised). The official evaluation draws anew
    in every run, so there the draws of both sides count apart.

    Args:
        method: One method on every split.
        whole: The unpruned model on the same splits, images and draws.

    Raises:
        ValueError: If the two sides do not have the same images and draws.

    Source: Cochran 1977, section 6.4 (ratio of two means).
    """
    if [split.inter.shape for split in method] != [split.inter.shape for split in whole]:
        raise ValueError("the two sides of a share need the same images and draws")
    base = float(np.mean([split.ciou for split in whole]))
    share = float(np.mean([split.ciou for split in method])) / base
    variance = 0.0
    for one, other in zip(method, whole, strict=True):
        variance += _ours(one, one.influence - share * other.influence)
        variance += _theirs(one, one.influence) + share**2 * _theirs(other, other.influence)
    return Spread(share, _error(variance / (len(method) * base) ** 2))


def _ours(split: SplitPixels, z: Float[Array, "images draws"]) -> float:
    """Variance of a mean over our draws and images."""
    part = min(1.0, len(z) / split.n_whole)
    return (1 - part) * _between(split, z) + part * _within(split, z) / float(z.shape[1])


def _theirs(split: SplitPixels, z: Float[Array, "images draws"]) -> float:
    """Variance of one draw over all images of the split."""
    return min(1.0, len(z) / split.n_whole) * _within(split, z)


def _between(split: SplitPixels, z: Float[Array, "images draws"]) -> float:
    if len(z) < 2:
        return float("nan")
    means = z.mean(1)
    neighbours = float(np.square(np.diff(means)).mean()) / 2
    return len(z) * (neighbours if split.ordered else float(means.var(ddof=1)))


def _within(split: SplitPixels, z: Float[Array, "images draws"]) -> float:
    if len(z) < 2:
        return float("nan")
    return float(z.var(1, ddof=1).sum()) if z.shape[1] > 1 else _between(split, z)


def _error(variance: float) -> float:
    return float(np.hypot(np.sqrt(variance), ROUNDING))
