"""Pixel counts of many predicted masks at once, on the device that made them; the rule is that of `metrics`."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from litelvlm.metrics import IGNORE


class Overlaps(NamedTuple):
    """Pixel counts of masks.

    Attributes:
        intersection: In prediction and target.
        union: In either.
        predicted: In the prediction, ignored pixels left out.
        target: In the target.
    """

    intersection: Int[Tensor, "*b"]
    union: Int[Tensor, "*b"]
    predicted: Int[Tensor, "*b"]
    target: Int[Tensor, "*b"]


def overlaps(predicted: Bool[Tensor, "*b h w"], target: UInt8[Tensor, "*b h2 w2"]) -> Overlaps:
    """Count pixels by the official rule: 1 is the object, 255 is ignored, other values belong to no class.

    Args:
        predicted: Predicted masks.
        target: Target masks as `ReferSample.mask` gives them.

    Raises:
        ValueError: If the sizes differ.

    Example:
        >>> found = overlaps(torch.tensor([[True, True, False]]), torch.tensor([[1, 0, 1]], dtype=torch.uint8))
        >>> found.intersection.item(), found.union.item()
        (1, 3)
    """
    if predicted.shape[-2:] != target.shape[-2:]:
        raise ValueError(
            f"prediction is {tuple(predicted.shape[-2:])}, target {tuple(target.shape[-2:])}; "
            f"both must be (height, width)"
        )
    seen, wanted = predicted & (target != IGNORE), target == 1
    both, one, other = (
        mask.sum(dim=(-2, -1), dtype=torch.int32) for mask in (seen & wanted, seen, wanted)
    )
    return Overlaps(both, one + other - both, one, other)
