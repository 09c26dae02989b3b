"""F of DAVIS: how well the outline of a mask follows that of another.

Source: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation" (CVPR 2016); the rules are those of davis2017-evaluation, the numbers equal to its.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from litelvlm.arrays import NDArray

BOUND = 0.008
"""How far outlines may lie apart, as a share of the image's diagonal."""


class Outlines(NamedTuple):
    """Outlines of masks.

    Attributes:
        line: Pixels of the outline.
        near: Pixels that lie near it, those of the outline included.
    """

    line: Bool[Tensor, "*n h w"]
    near: Bool[Tensor, "*n h w"]

    @classmethod
    def of(cls, masks: Bool[Tensor, "*n h w"]) -> "Outlines":
        """Draw the outlines of masks, pixels to ignore being outside."""
        line = outline(masks)
        return cls(line, widened(line, tolerance(*masks.shape[-2:])))


def f_measure(predicted: Outlines, target: Outlines) -> Float[NDArray[np.float64], "*n"]:
    """F of masks: the harmonic mean of precision and recall of their outlines.

    1 where both outlines are empty, 0 where one is. Leading axes are broadcast.
    """
    found, reached = _count(predicted.line & target.near), _count(target.line & predicted.near)
    n_predicted, n_target = np.broadcast_arrays(_count(predicted.line), _count(target.line))
    precision = np.divide(found, n_predicted, out=np.ones_like(found), where=n_predicted > 0)
    recall = np.divide(reached, n_target, out=np.ones_like(found), where=n_target > 0)
    both = precision + recall
    mean: NDArray[np.float64] = np.divide(
        2 * precision * recall, both, out=np.zeros_like(both), where=both > 0
    )
    return mean


def _count(pixels: Bool[Tensor, "*n h w"]) -> Float[NDArray[np.float64], "*n"]:
    counts: NDArray[np.float64] = pixels.sum(dim=(-2, -1)).cpu().numpy().astype(np.float64)
    return counts


def tolerance(height: int, width: int) -> int:
    """Pixels that outlines may lie apart in an image of this size.

    Example:
        >>> tolerance(480, 854), tolerance(60, 80)
        (8, 1)
    """
    return int(np.ceil(BOUND * np.linalg.norm((height, width))))


def outline(masks: Bool[Tensor, "*n h w"]) -> Bool[Tensor, "*n h w"]:
    """Pixels that differ from the one to the right, the one below or the one between these.

    The image goes on beyond its right and lower border as it ends there, so that the last pixel is
    never part of an outline.
    """
    right, below = _next(masks, -1), _next(masks, -2)
    return (masks ^ right) | (masks ^ below) | (masks ^ _next(below, -1))


def _next(masks: Bool[Tensor, "*n h w"], axis: int) -> Bool[Tensor, "*n h w"]:
    """The mask moved by one pixel, its last row or column repeated."""
    length = masks.shape[axis]
    return torch.cat([masks.narrow(axis, 1, length - 1), masks.narrow(axis, length - 1, 1)], axis)


def widened(masks: Bool[Tensor, "*n h w"], radius: int) -> Bool[Tensor, "*n h w"]:
    """Pixels at most ``radius`` pixels from one of the mask: a dilation with a disk.

    The disk is made of rows, the shortest first; a longer one grows from the one before.
    """
    height, width = masks.shape[-2:]
    rows, found, reached = masks.clone(), torch.zeros_like(masks), 0
    for off in range(min(radius, height - 1), -1, -1):
        reach = min(isqrt(radius**2 - off**2), width - 1)
        for step in range(reached + 1, reach + 1):
            rows[..., step:] |= masks[..., : width - step]
            rows[..., : width - step] |= masks[..., step:]
        reached = max(reached, reach)
        found[..., off:, :] |= rows[..., : height - off, :]
        found[..., : height - off, :] |= rows[..., off:, :]
    return found
