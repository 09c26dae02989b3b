"""Scores of dense label maps, from sums over images so that images can be resampled."""

import numpy as np
from jaxtyping import Bool, Float, Int

from litelvlm.arrays import Array


def class_sums(counts: Int[Array, "n c"], target: Int[Array, "n"]) -> Float[Array, "n s"]:
    """What mean IoU needs of regions of one true class each; the sum over regions is the data's.

    Args:
        counts: Patches of each region by the class that they are called.
        target: The true class of each region, from 0.

    Returns:
        Three blocks of c columns: patches called rightly, patches called so, patches truly so.

    Raises:
        ValueError: If a true class is outside the range.

    Example:
        >>> class_sums(np.array([[3, 1]]), np.array([0])).tolist()
        [[3.0, 0.0, 3.0, 1.0, 4.0, 0.0]]
    """
    n_classes = counts.shape[1]
    if len(target) and (target.min() < 0 or target.max() >= n_classes):
        raise ValueError(
            f"classes {target.min()} to {target.max()} are outside 0 to {n_classes - 1}; "
            "leave out ignored regions first"
        )
    truly = np.eye(n_classes)[target]
    sums: Array = np.hstack([truly * counts, counts, truly * counts.sum(1, keepdims=True)])
    return sums


def mean_iou(
    sums: Float[Array, "b s"], there: Bool[Array, "c"] | None = None
) -> Float[Array, "b 1"]:
    """Mean over classes of intersection over union, all patches counted together.

    Classes that are neither there nor called are left out, as in open-vocabulary segmentation.

    Args:
        sums: Sums of the columns of ``class_sums``, a line for each resample.
        there: Classes of the whole data, if the sums are of resamples: a resample that lost one of
            them does not count it, whatever was called so.

    Example:
        >>> mean_iou(np.array([[1.0, 2, 0, 1, 3, 0, 2, 2, 0]])).round(4).tolist()
        [[0.5833]]
    """
    both, called, truly = np.split(sums, 3, axis=1)
    union = called + truly - both
    if there is not None:
        union = np.where(there & (truly == 0), 0.0, union)
    with np.errstate(invalid="ignore"):
        shares = np.where(union > 0, both / union, np.nan)
    mean: Array = np.nanmean(shares, axis=1, keepdims=True)
    return mean


def guessed_iou(truly: Float[Array, "c"]) -> float:
    """Mean IoU of patches that are called one of c classes at random, where many are.

    Args:
        truly: Patches of each class.

    Example:
        >>> guessed_iou(np.array([50.0, 50.0]))
        0.3333333333333333
    """
    called = np.full(len(truly), truly.sum() / len(truly))
    return float(mean_iou(np.concatenate([truly / len(truly), called, truly])[None])[0, 0])
