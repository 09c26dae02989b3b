"""COCO-style `instances.json` of the RefCOCO family: images, objects and their official masks."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from jaxtyping import UInt8
from pydantic import AfterValidator, BaseModel, FailFast, Field, ValidationError

from litelvlm.arrays import NDArray
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.rasterise import RefDataError as RefDataError
from litelvlm.data.safe.rasterise import decode_mask
from litelvlm.data.safe.shown import first_problem, shown

Record = TypeVar("Record")
MAX_SIDE = 32_768
"""Longest side of an image, in pixels."""
Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
"""A number of at most 64 bits; a truth value is none."""


def _title(name: str) -> str:
    """A name that is shown and read as a text."""
    if not name.isprintable():
        raise ValueError("a name holds characters that cannot be shown")
    return name


def _inside(file_name: str) -> str:
    """A file name inside the image folder."""
    parts = [part for part in file_name.split("/") if part not in {"", "."}]
    if not parts or not file_name.isprintable():
        raise ValueError("a file name is empty or holds control characters")
    if file_name.startswith("/") or ".." in parts:
        raise ValueError("a file name leaves the image folder")
    return file_name


class ImageRecord(BaseModel, frozen=True):
    """One image of `instances.json`."""

    id: Whole
    file_name: Annotated[str, AfterValidator(_inside)]
    height: Annotated[Whole, Field(ge=1, le=MAX_SIDE)]
    width: Annotated[Whole, Field(ge=1, le=MAX_SIDE)]


class _Category(BaseModel):
    id: Whole
    name: Annotated[str, AfterValidator(_title)]


class _Object(BaseModel):
    id: Whole
    image_id: Whole
    category_id: Whole
    segmentation: object
    bbox: object = None
    iscrowd: object = False


class _File(BaseModel):
    images: Annotated[list[ImageRecord], FailFast()]
    annotations: Annotated[list[_Object], FailFast()]
    categories: Annotated[list[_Category], FailFast()]


@dataclass(frozen=True)
class Annotation:
    """One object, or a crowd of them.

    Attributes:
        ann_id: Its id.
        image_id: Image that it is on.
        category_id: Its category.
        outline: Polygons, run lengths or nothing as stored, as JSON text; parsed when it is drawn.
        crowd: Whether it stands for many objects.
        bbox: Its box as stored, ``[x, y, width, height]`` in pixels; empty for none.
    """

    ann_id: int
    image_id: int
    category_id: int
    outline: str
    crowd: bool = False
    bbox: str = ""


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
        found = checked(_File.model_validate, parse_json(content, path), path)
        objects = [
            Annotation(
                one.id,
                one.image_id,
                one.category_id,
                _text(one.segmentation),
                bool(one.iscrowd),
                _text(one.bbox) if one.bbox else "",
            )
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


def checked(form: Callable[[object], Record], data: object, path: Path) -> Record:
    """Data in the form that they should have.

    Raises:
        RefDataError: Naming the first record that does not fit, and its field.
    """
    try:
        return form(data)
    except ValidationError as error:
        raise RefDataError(f"{path} has a malformed record: {first_problem(error)}") from error


def _text(stored: object) -> str:
    return json.dumps(stored, separators=(",", ":"))


def _by_id(records: Sequence[tuple[int, Record]], kind: str, path: Path) -> dict[int, Record]:
    found: dict[int, Record] = {}
    for number, record in records:
        if number in found:
            raise RefDataError(f"{path} has a malformed record: {kind} id {number} occurs twice")
        found[number] = record
    return found


def stated_box(annotation: Annotation) -> tuple[float, float, float, float] | None:
    """The left, top, right and bottom of an object's box, in pixels; None if none is stated.

    Raises:
        RefDataError: If it is no ``[x, y, width, height]`` with an area.
    """
    stored = json.loads(annotation.bbox or "null")
    if stored is None:
        return None
    numbers = stored if isinstance(stored, list) else []
    fit = [isinstance(one, int | float) and math.isfinite(one) for one in numbers]
    if len(fit) != 4 or not all(fit) or min(numbers[2:]) <= 0:
        raise RefDataError(
            f"annotation {annotation.ann_id}: bbox is {shown(stored)}, expected "
            "[x, y, width, height] in pixels, the last two above 0"
        )
    x, y, width, height = map(float, numbers)
    return x, y, x + width, y + height


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
