"""The frames of a clip as SAM2 sees them: each is read and encoded when it is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import Sam2VideoModel

from litelvlm.data.images import ImageSource, open_image
from litelvlm.models.sam2.preprocess import SquareInput
from litelvlm.models.view import VisualState

KEPT = 32
"""Frames of a clip whose features stay in memory; those behind are encoded at every use."""


@dataclass(frozen=True)
class FrameFeatures:
    """Output of SAM2's image encoder for one frame.

    Attributes:
        fine: High-resolution features, four and two times the side of the tokens.
        tokens: Image tokens, without memory.
        positions: Their sine positions.
    """

    fine: tuple[Float[Tensor, "1 c4 h4 w4"], Float[Tensor, "1 c2 h2 w2"]]
    tokens: Float[Tensor, "hw 1 c"]
    positions: Float[Tensor, "hw 1 c"]


def encode_frame(sam: Sam2VideoModel, pixels: Float[Tensor, "3 s s"]) -> FrameFeatures:
    """Run SAM2's image encoder on one frame."""
    weight = sam.no_memory_embedding
    out = sam.get_image_features(pixels[None].to(weight.device, weight.dtype), return_dict=True)
    sizes = sam.backbone_feature_sizes
    fine = [
        level.permute(1, 2, 0).unflatten(-1, tuple(size))
        for level, size in zip(out.fpn_hidden_states[:2], sizes, strict=False)
    ]
    return FrameFeatures((fine[0], fine[1]), out.fpn_hidden_states[2], out.fpn_position_encoding[2])


class Sam2Frames:
    """A clip for SAM2.

    Args:
        sam: Encodes the frames.
        sources: The frames in their order.
        square: Makes SAM2's input of a picture.

    Attributes:
        size: (height, width) of every frame in pixels.

    Raises:
        ValueError: If there is no frame, or the first cannot be read.
        FileNotFoundError: If the file of any frame in a list is not there.
    """

    def __init__(
        self, sam: Sam2VideoModel, sources: Sequence[ImageSource], square: SquareInput
    ) -> None:
        if not len(sources):
            raise ValueError("the clip has no frames; give at least one image")
        # Other sequences read a frame when they are asked for it.
        for number, source in enumerate(sources if isinstance(sources, list | tuple) else ()):
            if isinstance(source, str | Path) and not Path(source).exists():
                raise FileNotFoundError(f"frame {number} of the clip: no image is at {source}")
        self.sam, self.sources, self.square = sam, sources, square
        first = open_image(sources[0])
        self.size = (first.height, first.width)
        self._kept: dict[int, FrameFeatures] = {}

    def __len__(self) -> int:
        return len(self.sources)

    def unread(self) -> "Sam2Frames":
        """The same clip without the features that are kept of it."""
        return Sam2Frames(self.sam, self.sources, self.square)

    def image(self, frame: int) -> Image.Image:
        """A frame as an RGB picture.

        Raises:
            ValueError: If it cannot be read, or differs in size from the first.
            FileNotFoundError: If it is not there.
        """
        try:
            image = open_image(self.sources[frame])
        except ValueError as error:
            raise ValueError(f"frame {frame} of the clip: {error}") from error
        if (image.height, image.width) != self.size:
            raise ValueError(
                f"frame {frame} of the clip has {image.height} x {image.width} pixels and frame 0 "
                f"{self.size[0]} x {self.size[1]}; give frames of one size"
            )
        return image

    def pixels(self, frame: int) -> Float[Tensor, "3 s s"]:
        """SAM2's input of a frame (see ``image``)."""
        return self.square(self.image(frame), cast(int, self.sam.image_size))

    def features(self, frame: int) -> FrameFeatures:
        """Features of a frame; those of the first ``KEPT`` are computed once."""
        found = self._kept.get(frame)
        if found is None:
            found = encode_frame(self.sam, self.pixels(frame))
            if frame < KEPT:
                self._kept[frame] = found
        return found


@runtime_checkable
class Sam2State(VisualState, Protocol):
    """An encoded clip of a family whose masks come from SAM2."""

    @property
    def sam_frames(self) -> Sam2Frames:
        """Its frames."""
