"""What every data set of referring expressions offers: images, each with expressions and masks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from litelvlm.arrays import NDArray
from litelvlm.data.annotations import Annotation

# What prompts of grounding models mark images, boxes and phrases with. Lower-cased text can still
# spell these; "[SEG]" it cannot.
CONTROL = re.compile(r"</?s>|</?p>|<(?:unk|image|im_start|im_end|bbox|point)>")


@dataclass(frozen=True)
class Expression:
    """One sentence about one image.

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


@runtime_checkable
class Sample(Protocol):
    """One image with its expressions."""

    @property
    def image_id(self) -> int:
        """Id of the image."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Sentences about the image."""

    @property
    def annotations(self) -> Mapping[int, Annotation]:
        """Every object of the image by id, whether an expression means it or not."""

    def image(self) -> Image.Image:
        """The RGB image."""

    def mask(self, expression: Expression) -> UInt8[NDArray[np.uint8], "height width"]:
        """Target pixels: 1 inside, 0 outside, 255 ignored, above 1 where polygons overlap."""

    def with_expressions(self, expressions: Sequence[Expression]) -> "Sample":
        """The same image with other expressions."""


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
    """The images of one split."""

    @property
    def categories(self) -> Mapping[int, str]:
        """Names of categories by id; empty where the data state none."""

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, index: int, /) -> Sample:
        """One image with its expressions."""
