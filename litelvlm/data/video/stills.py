"""Still frames of clips, each as an image of its own, for whatever reads one image at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from litelvlm.arrays import NDArray
from litelvlm.data.annotations import Annotation
from litelvlm.data.dataset import Expression, Sample, Samples
from litelvlm.data.video.clips import ClipDataset, ClipSample
from litelvlm.keys import frame_key


def spread_frames(n: int, most: int) -> list[int]:
    """Frames spread evenly over a clip, the first and the last among them.

    Example:
        >>> spread_frames(3, 8), spread_frames(100, 4), spread_frames(5, 1)
        ([0, 1, 2], [0, 33, 66, 99], [0])
    """
    return [round(place) for place in np.linspace(0, n - 1, min(n, most)).tolist()]


@dataclass(frozen=True)
class Still(Sample):
    """One frame of a clip.

    Attributes:
        image_id: Id of the clip, so that who resamples images resamples clips.
        height: Pixels.
        width: Pixels.
        expressions: Those of the clip, with ids of their own in every frame.
        annotations: Those of the clip.
        source: The clip.
        place: Of the frame in the clip.
        moment: Its place among all stills of the clip, from 1.
        sent_ids: From an id of an expression here to that in the clip.
    """

    image_id: int
    height: int
    width: int
    expressions: tuple[Expression, ...]
    annotations: Mapping[int, Annotation] = field(repr=False)
    source: ClipSample = field(repr=False)
    place: int
    moment: int
    sent_ids: Mapping[int, int] = field(repr=False)

    @property
    def frame_of_clip(self) -> int:
        """Its place."""
        return self.place

    @property
    def moment_of_clip(self) -> int:
        """Its moment."""
        return self.moment

    @property
    def key(self) -> int:
        """Another one for every frame of a clip, as models of clips have it."""
        return frame_key(super().key, self.place, self.source.frames)

    def frame(self, index: int) -> Image.Image:
        """The RGB frame; its index is 0. Errors are those of ``ClipSample.frame``."""
        return self.source.frame((self.place,)[index])

    def masks(self, expression: Expression) -> UInt8[NDArray[np.uint8], "1 height width"]:
        """Target pixels of this frame; zeros where nothing is meant or nothing of it shows."""
        return self._masks_at(self.place, expression)

    def masks_of_clip(
        self, expression: Expression
    ) -> Iterator[UInt8[NDArray[np.uint8], "1 height width"]]:
        """As in the base class, one frame at a time."""
        for place in range(self.source.frames):
            yield self._masks_at(place, expression)

    def _masks_at(
        self, place: int, expression: Expression
    ) -> UInt8[NDArray[np.uint8], "1 height width"]:
        asked = replace(expression, sent_id=self.sent_ids[expression.sent_id])
        masks: UInt8[NDArray[np.uint8], "1 height width"] = self.source.masks(asked, (place,))
        return masks

    def with_expressions(self, expressions: Sequence[Expression]) -> "Still":
        """The same frame with other expressions."""
        return replace(self, expressions=tuple(expressions))


class Stills(Samples[Still]):
    """Some frames of every clip of a split, each as an image with the clip's expressions.

    Args:
        clips: The split.
        per_clip: Frames of each clip, spread evenly over it; a shorter clip gives all that it has.

    Attributes:
        name: Data set.
        split: Split.
        split_by: As that of the clips.
        categories: Likewise.
        count_note: Likewise.
        digest: SHA-256 over that of the clips and the number of frames.

    Raises:
        ValueError: If ``per_clip`` is below 1.
    """

    def __init__(self, clips: ClipDataset, per_clip: int) -> None:
        if per_clip < 1:
            raise ValueError(f"{per_clip} stills of each clip; take 1 or more")
        self.clips, self.per_clip = clips, per_clip
        self.name, self.split, self.split_by = clips.name, clips.split, clips.split_by
        self.categories, self.count_note = clips.categories, clips.count_note
        super().__init__(still for clip in clips for still in self._of(clip))

    def _of(self, clip: ClipSample) -> Iterator[Still]:
        longest = max(one.frames for one in self.clips)
        for moment, place in enumerate(spread_frames(clip.frames, self.per_clip), start=1):
            ids = {one.sent_id * longest + place: one.sent_id for one in clip.expressions}
            asked = zip(clip.expressions, ids, strict=True)
            yield Still(
                clip.image_id,
                clip.height,
                clip.width,
                tuple(replace(one, sent_id=id) for one, id in asked),
                clip.annotations,
                clip,
                place,
                moment,
                ids,
            )

    @cached_property
    def digest(self) -> str:
        """As above; every frame and mask is read when it is first asked for."""
        return sha256(f"{self.clips.digest} {self.per_clip} stills".encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Stills({self.clips!r}, {self.per_clip})"
