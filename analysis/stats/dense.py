"""Scores of dense label maps."""

import numpy as np
from jaxtyping import Int

from litelvlm.arrays import Array


def mean_iou(predicted: Int[Array, "n"], target: Int[Array, "n"], n_classes: int) -> float:
    """Mean over classes of intersection over union, all pixels counted together.

    Classes that neither map holds are left out, as in open-vocabulary segmentation.

    Args:
        predicted: Class of each pixel or patch, from 0.
        target: The true one.
        n_classes: Number of classes.

    Raises:
        ValueError: If the maps differ in length, are empty, or hold a class outside the range.

    Example:
        >>> import numpy as np
        >>> mean_iou(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 3)
        0.5833333333333333
    """
    if len(predicted) != len(target) or not len(target):
        raise ValueError(f"maps of equal length are needed, got {len(predicted)} and {len(target)}")
    both = np.concatenate([predicted, target])
    if both.min() < 0 or both.max() >= n_classes:
        raise ValueError(
            f"classes {both.min()} to {both.max()} are outside 0 to {n_classes - 1}; "
            "leave out ignored pixels first"
        )
    counts = np.bincount(target * n_classes + predicted, minlength=n_classes**2)
    table = counts.reshape(n_classes, n_classes)
    inter, union = np.diag(table), table.sum(0) + table.sum(1) - np.diag(table)
    return float((inter[union > 0] / union[union > 0]).mean())
