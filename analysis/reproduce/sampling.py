"""How far a cIoU of some images and draws may lie from one official run over the whole split.

The published number is one run of the official evaluation: all images of the split, one draw of
expressions and templates, printed with one decimal. Ours is the mean of several draws on all or
some of the same images. Two things move the difference: which images are in our part, and the draws
of both sides. On the whole split the first vanishes, because both sides have the same images.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from litelvlm.arrays import Array

ROUNDING = 0.001 / np.sqrt(12)
"""Standard deviation of rounding to 0.1 percent."""


class Spread(NamedTuple):
    """The mean cIoU of several draws, and the standard error of its distance from one official run.

    Attributes:
        ciou: Mean over draws, 0 to 1.
        error: Standard error; nan with one image.
    """

    ciou: float
    error: float


def against_one_run(
    inter: Float[Array, "images draws"],
    union: Float[Array, "images draws"],
    n_whole: int,
    ordered: bool = False,
) -> Spread:
    """The cIoU of a part, and how far one official run over the whole split may lie from it.

    cIoU is linearised: z = I - c U, summed within each image and draw. The variance between images
    counts with the finite-population correction, that within images (between draws) with the share
    of images; the official run adds one more draw over all images. With one draw nothing is known
    of the spread within images, and that between images, which holds it, stands for it.

    Args:
        inter: Pixels of the intersections, summed over the expressions of an image.
        union: Pixels of the unions, likewise.
        n_whole: Images of the whole split.
        ordered: Whether the images stand in the order of a list from which they were taken at even
            distances. Then neighbours are alike, and the variance between images is half the mean
            square of the differences of neighbours: what the order explains does not count.

    Source: Cochran 1977, Sampling Techniques, third edition, equation 11.24 (two stages). Wolter
    2007, Introduction to Variance Estimation, second edition, section 8.2 (differences of
    neighbours).
    """
    n, draws = inter.shape
    scores = inter.sum(0) / union.sum(0)
    ciou, total = float(scores.mean()), float(union.sum(0).mean())
    if n < 2:
        return Spread(ciou, float("nan"))
    share = min(1.0, n / n_whole)
    z = inter - ciou * union
    means = z.mean(1)
    spread = np.square(np.diff(means)).mean() / 2 if ordered else means.var(ddof=1)
    between = n * float(spread)
    within = float(z.var(1, ddof=1).sum()) if draws > 1 else between
    ours = (1 - share) * between + share * within / draws
    theirs = share * within
    return Spread(ciou, float(np.hypot(np.sqrt(ours + theirs) / total, ROUNDING)))
