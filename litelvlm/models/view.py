"""What a model's visual tokens see of a clip of one size, and what every encoded clip offers.

An image is a clip of one frame.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.clip import geometry
from litelvlm.clip.geometry import Crop, Masks
from litelvlm.clip.parts import TowerParts
from litelvlm.clip.states import ClipImage
from litelvlm.layout import Layout


@dataclass(frozen=True)
class ImageView:
    """Where the visual tokens lie; known from the size of the frames, without a model run.

    Attributes:
        layout: How the tokens lie.
        crop: Part of each frame that the tokens see.
        image_size: Side of the tower's square input in pixels.
        seen: Frames of the clip that each frame of tokens sees, for models that read several as
            one, or leave some out; empty where every frame has tokens of its own.
    """

    layout: Layout
    crop: Crop
    image_size: int
    seen: tuple[tuple[int, ...], ...] = ()

    @property
    def n_tokens(self) -> int:
        """Visual tokens before pruning, in the order frames x rows x columns."""
        return self.layout.n_tokens

    def coverage(self, masks: Masks) -> Float[Array, "n"]:
        """Share of each token's patch that a mask covers, 0 to 1, flat in the order of the tokens.

        A token that sees several frames has their mean.

        Args:
            masks: Mask of an image [height, width], or those of a clip [frames, height, width].

        Raises:
            ValueError: If there are not as many masks as frames.
        """
        planes = masks.reshape(-1, *masks.shape[-2:])
        seen = self.seen or tuple((frame,) for frame in range(self.layout.frames))
        needed = 1 + max(frame for frames in seen for frame in frames)
        if len(planes) < needed or (len(planes) > needed and not self.seen):
            raise ValueError(
                f"got {len(planes)} masks for {needed} frames; give one mask per frame"
            )
        shares = {
            frame: geometry.coverage(planes[frame], self.layout.grid, self.image_size, self.crop)
            for frame in {frame for frames in seen for frame in frames}
        }
        means = [np.mean([shares[frame] for frame in frames], axis=0) for frames in seen]
        return np.asarray(means, dtype=np.float64).ravel()

    def visible_fraction(self, masks: Masks) -> float:
        """Share of a mask's area inside the crop, 0 to 1; 0 for an empty mask.

        Args:
            masks: As for ``coverage``.
        """
        if not masks.any():
            return 0.0
        return geometry.visible_fraction(masks, self.image_size, self.crop)


def tower_view(tower: TowerParts, height: int, width: int) -> ImageView:
    """What a tower's tokens see of an image of this height and width in pixels."""
    crop = tower.preprocessing.crop(height, width, tower.image_size)
    return ImageView(Layout(1, *tower.grid), crop, tower.image_size)


@runtime_checkable
class VisualState(Protocol):
    """One encoded clip. Each family adds what its own model needs."""

    @property
    def view(self) -> ImageView:
        """Where the visual tokens lie."""

    @property
    def timings(self) -> Mapping[str, float]:
        """Seconds per stage of the encoding; empty where nobody measured."""

    @property
    def tokens(self) -> Float[Tensor, "n d"]:
        """Patch tokens in the order frames x rows x columns, before projection and pruning."""


STATES = (
    *("patch_tokens", "cls_token", "query", "keys", "values", "cls_key", "cls_attention"),
    *("keys_mean", "key_norm", "late_states", "colours"),
)
"""Cues that are states of CLIP's image tower."""


def image_tower_cues(image: Callable[[], ClipImage]) -> dict[str, Callable[[], Tensor]]:
    """Sources of the cues that are states of CLIP's image tower, of the first image of a batch."""

    def source(name: str) -> Callable[[], Tensor]:
        return lambda: getattr(image(), name)[0]

    return {name: source(name) for name in STATES}
