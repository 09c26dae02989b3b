"""Objects of the RefCOCO family: images, outlines and the official masks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from litelvlm.data.safe.rasterise import RefDataError, decode_mask

__all__ = ["Annotation", "ImageRecord", "Instances", "RefDataError", "union_mask"]


@dataclass(frozen=True)
class ImageRecord:
    """One image of `instances.json`."""

    image_id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class Annotation:
    """One object, or a crowd of them.

    Attributes:
        ann_id: Its id.
        image_id: Image that it is on.
        category_id: Its category.
        outline: Polygons, run lengths or nothing as stored, as JSON text; parsed when it is drawn.
        crowd: Whether it stands for many objects.
    """

    ann_id: int
    image_id: int
    category_id: int
    outline: str
    crowd: bool = False


@dataclass(frozen=True)
class Instances:
    """What `instances.json` says of some images, indexed by id."""

    images: Mapping[int, ImageRecord]
    annotations: Mapping[int, Annotation]
    categories: Mapping[int, str]

    @cached_property
    def by_image(self) -> Mapping[int, Mapping[int, Annotation]]:
        """The objects of each image by id, in file order; an image without objects is left out."""
        found: dict[int, dict[int, Annotation]] = {}
        for ann_id, annotation in self.annotations.items():
            found.setdefault(annotation.image_id, {})[ann_id] = annotation
        return found


def union_mask(
    annotations: Sequence[Annotation], height: int, width: int
) -> UInt8[NDArray[np.uint8], "height width"]:
    """Join the masks of several objects by bitwise OR, the official rule; zeros for no object.

    Raises:
        RefDataError: Naming the annotation whose outline cannot be read.
    """
    total = np.zeros((height, width), dtype=np.uint8)
    for annotation in annotations:
        try:
            total |= decode_mask(json.loads(annotation.outline), height, width)
        except RefDataError as error:
            raise RefDataError(f"annotation {annotation.ann_id}: {error}") from error
    return total
