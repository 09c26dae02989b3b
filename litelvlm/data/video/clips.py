"""A split of clips: one sample per clip, with every expression of the split about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from litelvlm.arrays import NDArray
from litelvlm.data.annotations import Annotation, RefDataError
from litelvlm.data.content import content_digest
from litelvlm.data.dataset import Expression, Sample, Samples
from litelvlm.data.images import open_image
from litelvlm.data.video.targets import Targets


@dataclass(frozen=True)
class ClipSample(Sample):
    """One clip of a split; frames and masks are read when they are needed.

    Attributes:
        image_id: Number of the clip in the table, from 0.
        name: Its name.
        height: Pixels of a frame.
        width: Pixels of a frame.
        frame_names: Frames in their order; each is a file without its suffix.
        expressions: Sentences about it.
        folder: Of its frames.
        targets: True masks of the split.
        annotations: Empty: the data state no categories.
    """

    image_id: int
    name: str
    height: int
    width: int
    frame_names: tuple[str, ...]
    expressions: tuple[Expression, ...]
    folder: Path = field(repr=False)
    targets: Targets = field(repr=False, compare=False)
    annotations: Mapping[int, Annotation] = field(default_factory=dict, repr=False, compare=False)

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return len(self.frame_names)

    def frame(self, index: int) -> Image.Image:
        """One RGB frame.

        Raises:
            FileNotFoundError: If the file is missing.
            RefDataError: If it has another size than the first one.
            ValueError: If it is damaged, truncated, or above Pillow's pixel limit (89 million).
        """
        path = frame_path(self.folder, self.frame_names[index])
        image = open_image(path, upright=False)
        if image.size != (self.width, self.height):
            raise RefDataError(
                f"{path} is {image.width} x {image.height} pixels, the first frame of the clip "
                f"{self.width} x {self.height}; fetch the clip again"
            )
        return image

    def masks(
        self, expression: Expression, places: Sequence[int] | None = None
    ) -> UInt8[NDArray[np.uint8], "frames height width"]:
        """Target pixels of every frame, or of the frames at some places; zeros for nothing."""
        where = range(self.frames) if places is None else places
        size = (self.height, self.width)
        masks: NDArray[np.uint8] = self.targets.masks(
            self.name, self.frame_names, expression, size, tuple(where)
        )
        return masks

    def with_expressions(self, expressions: Sequence[Expression]) -> "ClipSample":
        """The same clip with other expressions."""
        return replace(self, expressions=tuple(expressions))


def frame_path(folder: Path, name: str) -> Path:
    """File of a frame.

    Raises:
        FileNotFoundError: If there is none.
    """
    for suffix in (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG"):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"missing frame {folder / name}.jpg; unpack the frames of the data set into {folder.parent}"
    )


class ClipDataset(Samples[ClipSample]):
    """The clips of one split.

    Attributes:
        name: Data set.
        split: Split.
        split_by: "official".
        categories: Empty: the data state none.
        digest: SHA-256 over the table of expressions, every frame and every mask; these are read
            when it is first asked for.
        count_note: What differs from the published size of the split, or that it is unknown.
    """

    split_by = "official"
    categories: Mapping[int, str] = MappingProxyType({})

    def __init__(
        self, name: str, split: str, table: Path, samples: Sequence[ClipSample], count_note: str
    ) -> None:
        self.name, self.split, self.count_note = name, split, count_note
        self._table = table
        super().__init__(samples)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the table and the content of every frame and mask."""
        found = sha256(self._table.read_bytes())
        for sample in self._samples:
            frames = [frame_path(sample.folder, name) for name in sample.frame_names]
            masks = sample.targets.files(sample.name, sample.frame_names)
            found.update(f"{sample.name} {content_digest(frames)} {content_digest(masks)}".encode())
        return found.hexdigest()

    def __repr__(self) -> str:
        return (
            f"ClipDataset({self.name}, split={self.split}, clips={len(self)}, "
            f"expressions={self.n_expressions})"
        )
