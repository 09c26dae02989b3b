"""J and F of clips: region and outline of each frame against the true mask.

Source: davis2017-evaluation, whose rules UniPixel and the data sets of referring expressions share:
every frame counts, two empty masks agree fully, pixels to ignore are outside in both masks.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from litelvlm.arrays import NDArray
from litelvlm.metrics.outlines import Outlines, f_measure
from litelvlm.metrics.pixels import TargetPixels


class FrameScores(NamedTuple):
    """J and F of every frame, in [0, 1].

    Attributes:
        j: Intersection over union; 1 if both masks are empty.
        f: Agreement of the outlines (``litelvlm.metrics.outlines``).
    """

    j: Float[NDArray[np.float64], "*n f"]
    f: Float[NDArray[np.float64], "*n f"]

    def means(self) -> tuple[Float[NDArray[np.float64], "*n"], Float[NDArray[np.float64], "*n"]]:
        """J and F of every clip: the means over its frames."""
        return self.j.mean(axis=-1), self.f.mean(axis=-1)


def frame_scores(predicted: Bool[Tensor, "*n f h w"], targets: TargetPixels) -> FrameScores:
    """Score every frame of clips.

    Args:
        predicted: Masks.
        targets: The true ones, in the same order.

    Raises:
        ValueError: If the sizes differ.

    Example:
        >>> import torch
        >>> target = torch.zeros(2, 40, 40, dtype=torch.uint8)
        >>> target[0, 10:20, 10:20] = 1
        >>> found = frame_scores(target.roll(1, dims=-1) == 1, TargetPixels.of(target))
        >>> found.j.round(2).tolist(), found.f.tolist()
        ([0.82, 1.0], [1.0, 1.0])
    """
    found = [
        image_scores(predicted[..., frame, :, :], targets.of_frame(frame))
        for frame in range(predicted.shape[-3])
    ]
    j, f = (np.stack(scores, axis=-1) for scores in zip(*found, strict=True))
    return FrameScores(j, f)


def image_scores(predicted: Bool[Tensor, "*n h w"], targets: TargetPixels) -> FrameScores:
    """J and F of masks of one frame; leading axes are broadcast."""
    counts = targets.counted(predicted)
    shared, either = (
        pixels.cpu().numpy().astype(np.float64) for pixels in (counts.intersection, counts.union)
    )
    j = np.divide(shared, either, out=np.ones_like(either), where=either > 0)
    kept = predicted if targets.scored is None else predicted & targets.scored
    return FrameScores(j, f_measure(Outlines.of(kept), Outlines.of(targets.wanted)))
