"""What a model's visual tokens see of an image of one size, and what every encoded image offers."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.clip import geometry
from litelvlm.clip.geometry import Crop, Mask
from litelvlm.clip.parts import TowerParts

Masks = Bool[Array, "*frames height width"] | UInt8[Array, "*frames height width"]


@dataclass(frozen=True)
class ImageView:
    """Where the visual tokens of an image lie; known from the image's size, without a model run.

    Attributes:
        grid: Token grid of one frame (rows, columns).
        crop: Part of the image that the tokens see.
        image_size: Side of the tower's square input in pixels.
        frames: Frames of a video; 1 for an image.
    """

    grid: tuple[int, int]
    crop: Crop
    image_size: int
    frames: int = 1

    @property
    def n_tokens(self) -> int:
        """Visual tokens before pruning, in the order frames x rows x columns."""
        return self.frames * self.grid[0] * self.grid[1]

    def coverage(self, mask: Masks) -> Float[Array, "n"]:
        """Share of each token's patch that a mask covers, 0 to 1, flat in the order of the tokens.

        Args:
            mask: Mask of an image [height, width]; a video's are stacked, [frames, height, width].

        Raises:
            ValueError: If the number of masks is not the number of frames.
        """
        planes = mask.reshape(-1, *mask.shape[-2:])
        if len(planes) != self.frames:
            raise ValueError(
                f"got {len(planes)} masks for {self.frames} frames; give one mask per frame"
            )
        shares = [
            geometry.coverage(plane, self.grid, self.image_size, self.crop) for plane in planes
        ]
        return np.asarray(shares, dtype=np.float64).ravel()

    def visible_fraction(self, mask: Mask) -> float:
        """Share of a mask's area inside the crop, 0 to 1; 0 for an empty mask.

        Args:
            mask: Mask of one frame [height, width].
        """
        if not mask.any():
            return 0.0
        return geometry.visible_fraction(mask, self.image_size, self.crop)


def tower_view(tower: TowerParts, height: int, width: int) -> ImageView:
    """What a tower's tokens see of an image of this height and width in pixels."""
    crop = tower.preprocessing.crop(height, width, tower.image_size)
    return ImageView(tower.grid, crop, tower.image_size)


@runtime_checkable
class VisualState(Protocol):
    """One encoded image. Each family adds what its own model needs."""

    @property
    def view(self) -> ImageView:
        """Where the visual tokens lie."""

    @property
    def tokens(self) -> Float[Tensor, "n d"]:
        """Patch tokens in the order frames x rows x columns, before projection and pruning."""
