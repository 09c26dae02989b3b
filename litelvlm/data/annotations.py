"""COCO-style `instances.json` of the RefCOCO family: images, objects and their official masks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from jaxtyping import UInt8
from pydantic import AfterValidator, BaseModel, FailFast, Field, TypeAdapter

from litelvlm.arrays import NDArray
from litelvlm.data.safe.fields import Flag, Form, Title, Whole, fitted
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.rasterise import RefDataError as RefDataError
from litelvlm.data.safe.rasterise import decode_mask

Record = TypeVar("Record")
MAX_SIDE = 32_768
"""Longest side of an image, in pixels."""


def _inside(file_name: str) -> str:
    """A file name inside the image folder."""
    parts = [part for part in file_name.split("/") if part not in {"", "."}]
    if not parts or not file_name.isprintable():
        raise ValueError("a file name is empty or holds control characters")
    if file_name.startswith("/") or ".." in parts:
        raise ValueError("a file name leaves the image folder")
    return file_name


InFolder = Annotated[str, AfterValidator(_inside), Field(description="a text")]
"""A file name that does not leave its folder."""


class ImageRecord(BaseModel, frozen=True):
    """One image of `instances.json`."""

    id: Whole
    file_name: InFolder
    height: Annotated[Whole, Field(ge=1, le=MAX_SIDE)]
    width: Annotated[Whole, Field(ge=1, le=MAX_SIDE)]


class _Category(BaseModel):
    id: Whole
    name: Title


class _Object(BaseModel):
    id: Whole
    image_id: Whole
    category_id: Whole
    segmentation: Annotated[
        object, Field(description="polygons [[x0, y0, x1, y1, ...], ...] or run lengths")
    ]
    iscrowd: Flag = False
    bbox: object = None


class _File(BaseModel):
    images: Annotated[list[ImageRecord], FailFast(), Field(description="a list of images")]
    annotations: Annotated[list[_Object], FailFast(), Field(description="a list of objects")]
    categories: Annotated[list[_Category], FailFast(), Field(description="a list of categories")]


_FILE = TypeAdapter(_File)


@dataclass(frozen=True)
class Annotation:
    """One object, or a crowd of them.

    Attributes:
        ann_id: Its id.
        image_id: Image that it is on.
        category_id: Its category.
        outline: Polygons, run lengths or nothing as stored, as JSON text; parsed when it is drawn.
        crowd: Whether it stands for many objects.
        bbox: [x, y, width, height] in pixels; None where the file states no such four numbers.
    """

    ann_id: int
    image_id: int
    category_id: int
    outline: str
    crowd: bool = False
    bbox: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Instances:
    """What `instances.json` says of some images, indexed by id, in file order."""

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


def read_instances(content: bytes, path: Path) -> Instances:
    """Parse and check an `instances.json`; outlines are checked when they are drawn.

    Args:
        content: The file's bytes.
        path: Where they come from, for messages.

    Raises:
        RefDataError: If it is no JSON object with images, annotations and categories, or a record
            lacks a field.
    """
    try:
        found = checked(_FILE, parse_json(content, path), path)
        objects = [
            Annotation(*(one.id, one.image_id, one.category_id, _text(one)), one.iscrowd, _box(one))
            for one in found.annotations
        ]
    except RecursionError as error:
        raise RefDataError(f"{path} is nested too deeply; fetch it again") from error
    return Instances(
        _by_id([(image.id, image) for image in found.images], "image", path),
        _by_id([(one.ann_id, one) for one in objects], "annotation", path),
        _by_id([(kind.id, kind.name) for kind in found.categories], "category", path),
    )


def parse_json(content: bytes, path: Path) -> object:
    """Parse a file as JSON.

    Raises:
        RefDataError: If it is none, or is nested too deeply.
    """
    try:
        return read_json(content)
    except RecursionError as error:
        raise RefDataError(f"{path} is nested too deeply; fetch it again") from error
    except ValueError as error:
        raise RefDataError(
            f"{path} is not JSON ({error}); the download may be cut off, fetch it again"
        ) from error


def checked(form: Form[Record], data: object, path: Path) -> Record:
    """Data in the form that they should have.

    Raises:
        RefDataError: Naming the file and the first record that does not fit, its field, and what
            is expected there.
    """
    try:
        return fitted(form, data)
    except RefDataError as error:
        raise RefDataError(f"{path} has a malformed record: {error}") from error


def _text(record: _Object) -> str:
    return json.dumps(record.segmentation, separators=(",", ":"))


def _box(record: _Object) -> tuple[float, float, float, float] | None:
    """A box of another form is none; that of the outline stands in for it."""
    stored = record.bbox
    if not (isinstance(stored, list | tuple) and len(stored) == 4):
        return None
    if not all(type(value) in (int, float) and isfinite(value) for value in stored):
        return None
    x, y, width, height = map(float, stored)
    return x, y, width, height


def _by_id(records: Sequence[tuple[int, Record]], kind: str, path: Path) -> dict[int, Record]:
    found: dict[int, Record] = {}
    for number, record in records:
        if number in found:
            raise RefDataError(f"{path} has a malformed record: {kind} id {number} occurs twice")
        found[number] = record
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
        except (RefDataError, RecursionError) as error:
            raise RefDataError(f"annotation {annotation.ann_id}: {error}") from error
    return total
