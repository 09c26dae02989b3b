"""What every data set of referring expressions offers: clips, each with expressions and masks.

An image is a clip of one frame.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, overload, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from litelvlm.arrays import NDArray
from litelvlm.data.annotations import Annotation

# What prompts of grounding models mark images, boxes and phrases with. Lower-cased text can still
# spell these; "[SEG]" it cannot.
CONTROL = re.compile(
    r"</?s>|</?p>|<\|\w+\|>|<(?:unk|image|video|im_start|im_end|vid_start|vid_end|bbox|point)>"
)

IMAGES, CLIPS, STILLS = "images", "clips", "stills"
"""What the samples of a split can be."""


@dataclass(frozen=True)
class Expression:
    """One sentence about one image or clip.

    Attributes:
        sent_id: Id of the sentence, unique in the split.
        ref_id: Id of the reference that it describes.
        ann_ids: Objects meant; several or (-1,) for none in gRefCOCO.
        category_id: Categories as the table of references gives them; empty if it states none.
        sent: The text as stored.
        kind: Class of the expression where the data says ("category", "attribute", "place",
            "relation"), else None.
    """

    sent_id: int
    ref_id: int
    ann_ids: tuple[int, ...]
    category_id: tuple[int, ...]
    sent: str
    kind: str | None = None


def clean(expression: str) -> str:
    """Strip and lower-case a referring expression.

    Raises:
        ValueError: If nothing is left, or if the text spells a control token of the prompt.

    Example:
        >>> clean(" Left Man ")
        'left man'
    """
    text = expression.strip().lower()
    if not text:
        raise ValueError(
            f"the expression {expression!r} is empty; name what to segment, for example "
            "'the yellow giraffe'"
        )
    found = CONTROL.search(text)
    if found:
        raise ValueError(
            f"the expression {expression!r} spells the control token {found.group()!r}; remove it"
        )
    return text


class Sample(ABC):
    """A clip with its expressions; an image is a clip of one frame.

    Attributes:
        image_id: Id of the image or clip.
        height: Pixels.
        width: Pixels.
        expressions: Sentences about it.
        annotations: Every object by id, whether an expression means it or not.
    """

    image_id: int
    height: int
    width: int
    expressions: tuple[Expression, ...]
    annotations: Mapping[int, Annotation]

    @property
    def frames(self) -> int:
        """Frames of the clip; 1 for an image."""
        return 1

    @property
    def frame_of_clip(self) -> int | None:
        """Which frame of a clip the image is, from 0; None of other samples."""
        return None

    @property
    def moment_of_clip(self) -> int | None:
        """Its place among all stills of its clip, from 1; None of other samples."""
        return None

    @property
    def key(self) -> int:
        """Identity for random methods, which draw the same tokens for equal keys."""
        return int(self.image_id)

    @abstractmethod
    def frame(self, index: int) -> Image.Image:
        """One RGB frame, read when it is asked for."""

    @abstractmethod
    def masks(self, expression: Expression) -> UInt8[NDArray[np.uint8], "frames height width"]:
        """Target pixels of every frame.

        1 inside, 0 outside, 255 ignored, above 1 where polygons overlap.
        """

    def masks_of_clip(
        self, expression: Expression
    ) -> Iterator[UInt8[NDArray[np.uint8], "frames height width"]]:
        """Target pixels of every frame of the clip, some frames at a time; of a still, its clip."""
        yield self.masks(expression)

    @abstractmethod
    def with_expressions(self, expressions: Sequence[Expression]) -> "Sample":
        """The same clip with other expressions."""

    @property
    def clip(self) -> "Frames":
        """The frames in their order, as ``encode_clip`` of a model takes them."""
        return Frames(self)

    def image(self) -> Image.Image:
        """The only frame.

        Raises:
            ValueError: If the clip has more.
        """
        self._require_image("clip or frame(i)")
        return self.frame(0)

    def mask(self, expression: Expression) -> UInt8[NDArray[np.uint8], "height width"]:
        """Target pixels of the only frame, as in ``masks``.

        Raises:
            ValueError: If the clip has more.
        """
        self._require_image("masks(expression)")
        mask: UInt8[NDArray[np.uint8], "height width"] = self.masks(expression)[0]
        return mask

    def _require_image(self, instead: str) -> None:
        if self.frames != 1:
            raise ValueError(
                f"sample {self.image_id} is a clip of {self.frames} frames, and this reads one "
                f"image; use {instead}, or read frames as images (--stills N, `Stills`)"
            )


SampleT = TypeVar("SampleT", bound=Sample)


class Samples(Sequence[SampleT]):
    """The samples of a split, one at a time or a slice of them.

    Args:
        samples: In their order.
    """

    def __init__(self, samples: Iterable[SampleT]) -> None:
        self._samples = tuple(samples)

    @property
    def n_expressions(self) -> int:
        """Number of expressions of all samples."""
        return sum(len(sample.expressions) for sample in self._samples)

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> SampleT: ...
    @overload
    def __getitem__(  # type: ignore[explicit-any]  # a slice has no types at run time
        self, index: slice
    ) -> tuple[SampleT, ...]: ...
    def __getitem__(  # type: ignore[explicit-any]  # a slice has no types at run time
        self, index: int | slice
    ) -> SampleT | tuple[SampleT, ...]:
        return self._samples[index]


class Frames(Sequence[Image.Image]):
    """Frames of a sample, each read when it is asked for.

    Args:
        sample: The clip.
    """

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def __len__(self) -> int:
        return self.sample.frames

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(  # type: ignore[explicit-any]  # a slice has no types at run time
        self, index: slice
    ) -> list[Image.Image]: ...
    def __getitem__(  # type: ignore[explicit-any]  # a slice has no types at run time
        self, index: int | slice
    ) -> Image.Image | list[Image.Image]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self.sample.frame(places)
        return [self.sample.frame(place) for place in places]


@runtime_checkable
class IdentifiedData(Protocol):
    """A split that a run can name in its key and in its record."""

    @property
    def name(self) -> str:
        """Name of the data set."""

    @property
    def split(self) -> str:
        """Name of the split."""

    @property
    def split_by(self) -> str:
        """Who made the split."""

    @property
    def digest(self) -> str:
        """Digest of the content."""


@runtime_checkable
class Dataset(IdentifiedData, Protocol):
    """The images, or clips, of one split."""

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of categories by id; empty where the data state none."""

    def __len__(self) -> int:
        """Number of images or clips."""

    def __getitem__(self, index: int, /) -> Sample:
        """One image or clip with its expressions."""


def kind_of_samples(samples: Sequence[Sample]) -> str:
    """What samples are: images, clips of several frames, or stills of clips.

    Stills of one clip share its ``image_id``, so who resamples images resamples their clips.
    """
    if any(sample.frame_of_clip is not None for sample in samples):
        return STILLS
    return CLIPS if any(sample.frames > 1 for sample in samples) else IMAGES
