"""Pixel counts of predicted masks by the official rule, for NumPy arrays and for tensors."""

from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from litelvlm.arrays import Array, NDArray
from litelvlm.names import check_name

IGNORE = 255
DOUBLED = ("background", "object")
Masks = TypeVar("Masks", Array, Tensor)


def scored_target(
    target: UInt8[NDArray[np.uint8], "*n height width"], doubled: str = "background"
) -> UInt8[NDArray[np.uint8], "*n height width"]:
    """Make a target in which 1 is the object and 255 is ignored.

    Args:
        target: Target mask as `ReferSample.mask` gives it. Where polygons of one object overlap,
            its pixels are 2 or more.
        doubled: "background" counts such pixels as outside the object, as the official code does:
            predicting one adds to the union, leaving it out changes nothing. "object" makes them 1.

    Raises:
        ValueError: If the rule is unknown.
    """
    check_name(doubled, DOUBLED, "rule for doubled pixels")
    if doubled == "background":
        return target
    return np.where((target > 1) & (target != IGNORE), np.uint8(1), target)


def object_pixels(
    target: UInt8[NDArray[np.uint8], "*n height width"],
) -> Bool[NDArray[np.bool_], "*n height width"]:
    """Pixels that an object covers: overlaps of its polygons are inside, ignored ones outside.

    Example:
        >>> object_pixels(np.array([[0, 1, 2, 255]], dtype=np.uint8)).tolist()
        [[False, True, True, False]]
    """
    inside: NDArray[np.bool_] = (target > 0) & (target != IGNORE)
    return inside


class PixelCounts(NamedTuple):
    """Pixels of masks, one count per mask.

    Attributes:
        intersection: Pixels in prediction and target.
        union: Pixels in either.
        predicted: Pixels in the prediction, without those to ignore.
        target: Pixels in the target.
    """

    intersection: Int[Tensor, "*n"]
    union: Int[Tensor, "*n"]
    predicted: Int[Tensor, "*n"]
    target: Int[Tensor, "*n"]


def count_pixels(
    predicted: Bool[Tensor, "*n h w"], target: UInt8[Tensor, "*n h2 w2"]
) -> PixelCounts:
    """Count the pixels of many masks by the official rule, on the device that holds them.

    Args:
        predicted: Predicted masks.
        target: Target masks as `ReferSample.mask` gives them.

    Raises:
        ValueError: If the sizes differ.

    Example:
        >>> prediction = torch.tensor([[True, True, False]])
        >>> counts = count_pixels(prediction, torch.tensor([[1, 0, 1]], dtype=torch.uint8))
        >>> counts.intersection.item(), counts.union.item()
        (1, 3)
    """
    return TargetPixels.of(target).counted(predicted)


class TargetPixels(NamedTuple):
    """Targets read by the official rule once, for many predictions each.

    Attributes:
        wanted: Pixels of the object.
        scored: Pixels that are not ignored; None if none is.
        area: Pixels of each object.
    """

    wanted: Bool[Tensor, "*n h w"]
    scored: Bool[Tensor, "*n h w"] | None
    area: Int[Tensor, "*n"]

    @classmethod
    def of(cls, target: UInt8[Tensor, "*n h w"]) -> "TargetPixels":
        """Read targets as `ReferSample.mask` gives them."""
        wanted, scored = _classes(target)
        return cls(wanted, None if bool(scored.all()) else scored, _true_pixels(wanted))

    @classmethod
    def of_masks(cls, masks: Bool[Tensor, "*n h w"]) -> "TargetPixels":
        """Take predicted masks as targets, to compare others with them."""
        return cls(masks, None, _true_pixels(masks))

    def rows(self, indices: Int[Tensor, "*m"]) -> "TargetPixels":
        """The targets at these places."""
        scored = None if self.scored is None else self.scored[indices]
        return TargetPixels(self.wanted[indices], scored, self.area[indices])

    def of_frame(self, frame: int) -> "TargetPixels":
        """The targets [*n, h, w] of one frame of clips, where there are clips [*n, f, h, w]."""
        scored = None if self.scored is None else self.scored[..., frame, :, :]
        return TargetPixels(self.wanted[..., frame, :, :], scored, self.area[..., frame])

    def counted(self, predicted: Bool[Tensor, "*n h2 w2"]) -> PixelCounts:
        """Count the pixels of one prediction for each target.

        Raises:
            ValueError: If the sizes differ.
        """
        _check_sizes(predicted, self.wanted)
        kept = predicted if self.scored is None else predicted & self.scored
        both, one = _true_pixels(kept & self.wanted), _true_pixels(kept)
        return PixelCounts(both, one + self.area - both, one, self.area)


class Overlap(NamedTuple):
    """Pixels in prediction and target, and in either."""

    intersection: int
    union: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 if both masks are empty."""
        return self.intersection / self.union if self.union else 1.0


def intersection_union(
    prediction: Bool[NDArray[np.bool_], "height width"],
    target: UInt8[NDArray[np.uint8], "target_height target_width"],
    doubled: str = "background",
) -> Overlap:
    """Count the pixels of one expression by the official rule (LiteLVLM and GLaMM).

    Args:
        prediction: Predicted mask.
        target: Target mask as `ReferSample.mask` gives it.
        doubled: Rule for pixels of 2 and more, see `scored_target`; "background" is the
            official one.

    Raises:
        ValueError: If the sizes differ, or the rule is unknown.

    Example:
        >>> prediction = np.array([[True, True, False]])
        >>> tuple(intersection_union(prediction, np.array([[1, 0, 1]], dtype=np.uint8)))
        (1, 3)
    """
    both, one, other = map(int, _counts(prediction, scored_target(target, doubled)))
    return Overlap(both, one + other - both)


def _counts(predicted: Masks, target: Masks) -> tuple[Masks, Masks, Masks]:
    """Count the pixels [*n] of intersection, prediction and target.

    The official rule (LiteLVLM and GLaMM, official code): target pixels of 1 are the object. Pixels
    of 255 are ignored on both sides. Other values (overlapping polygons of one object) are in no
    class: predicting them adds to the union, not to the intersection.
    """
    _check_sizes(predicted, target)
    wanted, scored = _classes(target)
    kept = predicted & scored
    return _true_pixels(kept & wanted), _true_pixels(kept), _true_pixels(wanted)


def _classes(target: Masks) -> tuple[Masks, Masks]:
    """Pixels of the object, and those that are not ignored."""
    return target == 1, target != IGNORE


def _check_sizes(predicted: Masks, target: Masks) -> None:
    if predicted.shape[-2:] != target.shape[-2:]:
        raise ValueError(
            f"prediction is {tuple(predicted.shape[-2:])}, target {tuple(target.shape[-2:])}; "
            "both must be (height, width)"
        )


def _true_pixels(masks: Masks) -> Masks:
    """Count the true pixels of each mask.

    On an accelerator torch is fastest with 32 bits. On a CPU NumPy counts one mask at a time
    several times faster, because it never widens the bytes.
    """
    if isinstance(masks, Tensor):
        if masks.device.type != "cpu":
            return masks.sum(dim=(-2, -1), dtype=torch.int32)
        flat = masks.flatten(0, -3) if masks.ndim > 2 else masks[None]
        counts = [np.count_nonzero(mask) for mask in flat.numpy()]
        return torch.tensor(counts, dtype=torch.int32).reshape(masks.shape[:-2])
    return np.asarray(np.count_nonzero(masks, axis=(-2, -1)))
