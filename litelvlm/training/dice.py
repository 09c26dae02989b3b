"""The Dice loss of masks."""

from jaxtyping import Float
from torch import Tensor


def dice_loss(
    logits: Float[Tensor, "*b h w"],
    target: Float[Tensor, "*b h w"],
    valid: Float[Tensor, "*#b h w"],
    smoothing: float,
) -> Float[Tensor, "*b"]:
    """1 less twice the overlap over the sum of both areas, for each mask.

    Args:
        logits: Of the prediction.
        target: 0 to 1.
        valid: 1 where pixels count, else 0.
        smoothing: Pixels added to both parts of the fraction.
    """
    probability, weight = logits.sigmoid() * valid, target * valid
    overlap = 2 * (probability * weight).sum((-1, -2))
    total = probability.sum((-1, -2)) + weight.sum((-1, -2))
    return 1 - (overlap + smoothing) / (total + smoothing)
