"""Protocol of unsupervised DAVIS: predicted objects are paired with true ones, then scored.

VideoGLaMM's evaluation of Ref-DAVIS17 uses it. The masks of all objects of one annotator are merged
into one map of labels per frame; labels are paired with objects so that the sum of J&F is largest.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from litelvlm.arrays import NDArray
from litelvlm.metrics.frames import FrameScores, image_scores
from litelvlm.metrics.pixels import IGNORE, TargetPixels

MAX_PROPOSALS = 20
"""Most predicted objects of one clip."""
PRESENT, BACKGROUND = 0.5, 0.1
"""Score from which a pixel may be an object's, and that of the background."""


class MatchedScores(NamedTuple):
    """True objects with the predicted ones that they were paired with.

    Attributes:
        pairs: Of each true object its label and that of its partner, in the order of the partners;
            a partner above every predicted label stands for an empty mask.
        scores: J and F [pairs, frames].
        table: J and F of every predicted with every true object [proposals, objects, frames].
    """

    pairs: tuple[tuple[int, int], ...]
    scores: FrameScores
    table: FrameScores


def merge_masks(scores: Shaped[Tensor, "t f h w"]) -> UInt8[Tensor, "f h w"]:
    """Make one map of labels out of the masks of several objects.

    A pixel gets the label (from 1) of the object with the highest score there, the first of equal
    ones; 0 where none reaches ``PRESENT``.

    Args:
        scores: Probabilities, or masks of 0 and 1.
    """
    present = torch.where(scores >= PRESENT, scores.float(), 0.0)
    return torch.cat([torch.full_like(present[:1], BACKGROUND), present]).argmax(0).to(torch.uint8)


def match_objects(
    truth: UInt8[Tensor, "f h w"], predicted: UInt8[Tensor, "f2 h2 w2"]
) -> MatchedScores:
    """Pair the objects of a clip and score them.

    Args:
        truth: Labels of the true objects, 0 for none, 255 for pixels to ignore. The objects are
            those of frame 0: labels from 1 to its highest.
        predicted: Labels of the predicted objects.

    Raises:
        ValueError: If the sizes differ, or there are more than ``MAX_PROPOSALS`` predicted objects.
    """
    if truth.shape != predicted.shape:
        raise ValueError(
            f"labels are {tuple(predicted.shape)}, true ones {tuple(truth.shape)}; "
            "both must be (frames, height, width)"
        )
    scored = truth != IGNORE
    n_true = int((truth[0] * scored[0]).max())
    n_predicted = int(predicted.max())
    if n_predicted > MAX_PROPOSALS:
        raise ValueError(
            f"labels go up to {n_predicted}; at most {MAX_PROPOSALS} predicted objects are matched"
        )
    labels = torch.arange(1, max(n_predicted, n_true) + 1, dtype=torch.uint8)[:, None, None]
    found = []
    for true, ours in zip(truth, predicted, strict=True):
        targets = torch.where(true == IGNORE, IGNORE, true == labels[:n_true]).to(torch.uint8)
        found.append(image_scores((ours == labels)[:, None], TargetPixels.of(targets)))
    j, f = (np.stack(scores, axis=-1) for scores in zip(*found, strict=True))
    rows, columns = pair_objects(FrameScores(j, f))
    pairs = tuple((int(c) + 1, int(r) + 1) for r, c in zip(rows, columns, strict=True))
    return MatchedScores(pairs, FrameScores(j[rows, columns], f[rows, columns]), FrameScores(j, f))


def pair_objects(
    table: FrameScores,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pairing whose sum of J&F, means over frames, is largest."""
    both: Float[NDArray[np.float64], "p o"] = np.add(*table.means()) / 2
    rows, columns = linear_sum_assignment(-both)
    return rows, columns
