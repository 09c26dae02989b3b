"""Pixel counts of one batch of masks as plain numbers, with their IoU."""

from typing import NamedTuple

import torch

from litelvlm.metrics import PixelCounts, iou


class Counted(NamedTuple):
    """What the masks of a batch share with what they are compared with.

    Attributes:
        pixels: By pass and turn: pixels in both, in either, in the prediction and in the other.
        iou: By pass and turn: the exact IoU, 0 to 1.
    """

    pixels: list[list[list[int]]]
    iou: list[list[float]]

    @classmethod
    def of(cls, counts: PixelCounts) -> "Counted":
        """Bring the counts of a batch, [passes, turns] each, from their device at once."""
        pixels = torch.stack(list(counts), dim=-1).cpu()
        both, either = (pixels[..., place] for place in (0, 1))
        exact = iou(both.flatten().tolist(), either.flatten().tolist(), exact=True)
        return cls(pixels.tolist(), exact.reshape(both.shape).tolist())
