"""A split of the RefCOCO family: one sample per image, with every expression of the split on it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from litelvlm.arrays import NDArray
from litelvlm.data.annotations import Annotation, RefDataError, union_mask
from litelvlm.data.content import content_digest
from litelvlm.data.dataset import Expression, Sample, Samples
from litelvlm.data.images import is_turned, open_image
from litelvlm.data.layout import KNOWN_COUNTS, REF_FAMILIES, SplitSize
from litelvlm.data.refs import NO_TARGET

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferSample(Sample):
    """One image of a split; pixels and masks are read when they are needed.

    Attributes:
        image_id: Id in `instances.json`.
        file_name: File in the image folder.
        height: Pixels.
        width: Pixels.
        expressions: Every expression of the split on this image.
        folder: Image folder.
        pictures: What to unpack there, for messages.
        annotations: Every object of the image by id, whether an expression of this split means it
            or not.
    """

    image_id: int
    file_name: str
    height: int
    width: int
    expressions: tuple[Expression, ...]
    folder: Path = field(repr=False)
    pictures: str = field(repr=False, compare=False)
    annotations: Mapping[int, Annotation] = field(repr=False, compare=False)

    @property
    def path(self) -> Path:
        """File of the picture."""
        return self.folder / self.file_name

    def frame(self, index: int) -> Image.Image:
        """The RGB image.

        Raises:
            FileNotFoundError: If the file is missing.
            RefDataError: If it has another size than `instances.json` says.
            ValueError: If it is damaged, truncated, or above Pillow's pixel limit (89 million).
            IndexError: If it is not the first; an image is a clip of one frame.
        """
        if index != 0:
            raise IndexError(f"image {self.image_id} has one frame; there is no frame {index}")
        path = self.path
        if not path.is_file():
            raise FileNotFoundError(
                f"missing image {path}; unpack {self.pictures} into {self.folder}"
            )
        # Annotations lie on the pixels as stored, so no EXIF turn here.
        image = open_image(path, upright=False)
        if image.size != (self.width, self.height):
            fix = (
                "its EXIF tag turns it, and masks lie on pixels as stored: save it as it is shown"
                if is_turned(path)
                else "take both from the same release"
            )
            raise RefDataError(
                f"{path} is {image.width} x {image.height} pixels, instances.json says "
                f"{self.width} x {self.height}; {fix}"
            )
        return image

    def masks(self, expression: Expression) -> UInt8[NDArray[np.uint8], "1 height width"]:
        """Target pixels at original size; zeros where nothing is meant.

        Values above 1 mark overlapping polygons of one object; the official score treats them
        apart, so use `> 0` where a plain mask is wanted.
        """
        meant = [self.annotations[ann_id] for ann_id in expression.ann_ids if ann_id != NO_TARGET]
        return union_mask(meant, self.height, self.width)[None]

    def with_expressions(self, expressions: Sequence[Expression]) -> "ReferSample":
        """The same image with other expressions."""
        return replace(self, expressions=tuple(expressions))

    def targets(self) -> UInt8[NDArray[np.uint8], "t height width"]:
        """Masks of all expressions, in their order."""
        return np.stack([self.mask(expression) for expression in self.expressions])


class ReferDataset(Samples[ReferSample]):
    """The images of one split.

    Attributes:
        name: Dataset ("refcoco", ..., or "embedded").
        split: Split.
        split_by: Author of the split.
        root: The `Refer_Segm` folder.
        categories: Category id to name.
        digest: SHA-256 over the table of references, `instances.json` and the pictures; these are
            read when it is first asked for.
        counts: Expressions, references and images.
        count_note: What differs from the published size of the split, which counts are unknown, and
            whether sentences were numbered anew; empty if every count is as published, and for the
            embedded scenes.
    """

    def __init__(
        self,
        name: str,
        split: str,
        split_by: str,
        root: Path,
        samples: Sequence[ReferSample],
        n_refs: int,
        categories: Mapping[int, str],
        digest: str,
        note: str = "",
    ) -> None:
        self.name, self.split, self.split_by, self.root = name, split, split_by, root
        self.categories, self._tables_digest = categories, digest
        super().__init__(samples)
        self.counts = SplitSize(self.n_expressions, n_refs, len(samples))
        self.count_note = "; ".join(
            filter(None, (_count_note(name, split_by, split, self.counts), note))
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the tables and the content of every picture."""
        pictures = content_digest(sample.path for sample in self._samples)
        return sha256(f"{self._tables_digest} {pictures}".encode()).hexdigest()

    def __repr__(self) -> str:
        return (
            f"ReferDataset({self.name}, split={self.split}, split_by={self.split_by}, "
            f"images={len(self)}, expressions={self.n_expressions})"
        )


@cache
def _count_note(name: str, split_by: str, split: str, counts: SplitSize) -> str:
    """Differences from the published size, logged once per split, and what no size is known of."""
    if name not in REF_FAMILIES:
        return ""
    known = KNOWN_COUNTS.get((name, split_by, split), SplitSize(None, None, None))
    wrong = [
        f"{have} {what} (published: {want})"
        for what, have, want in zip(SplitSize._fields, counts, known, strict=True)
        if want is not None and have != want
    ]
    unknown = [what for what, want in zip(SplitSize._fields, known, strict=True) if want is None]
    title, notes = f"{name} {split} ({split_by})", []
    if wrong:
        notes.append(f"{title} has {', '.join(wrong)}")
        logger.warning("%s; scores are not comparable with published ones", notes[0])
    if unknown:
        notes.append(f"{title}: counts unknown of {', '.join(unknown)}")
    return "; ".join(notes)
