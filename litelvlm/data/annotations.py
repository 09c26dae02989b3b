"""COCO-style `instances.json` of the RefCOCO family: images, objects and their official masks.

A file of RefCOCO's size describes 197,000 objects, so they become columns of a table, not objects
of Python.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import orjson
import pyarrow as pa
from jaxtyping import UInt8

from litelvlm.arrays import NDArray
from litelvlm.data.safe.columns import texts, truths, whole_numbers
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.rasterise import RefDataError, decode_mask
from litelvlm.data.safe.shown import shown

__all__ = [
    "Annotation",
    "ImageRecord",
    "InstanceTables",
    "Instances",
    "RefDataError",
    "read_instances",
    "union_mask",
]

Record = TypeVar("Record")
Objects = Sequence[Mapping[str, object]]
MAX_SIDE = 32_768
"""Longest side of an image, in pixels."""
MAX_NESTING = 3
"""Levels of an outline; polygons have two."""
_AT_ONCE = 4096
_COLUMNS = pa.schema(
    {
        "ann_id": pa.int64(),
        "image_id": pa.int64(),
        "category_id": pa.int64(),
        "outline": pa.large_string(),
        "crowd": pa.bool_(),
    }
)


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


class InstanceTables(NamedTuple):
    """The parsed file, in file order.

    Attributes:
        images: Image id to record.
        annotations: A column for each attribute of ``Annotation``; ids are unique.
        categories: Category id to name.
    """

    images: Mapping[int, ImageRecord]
    annotations: pa.Table
    categories: Mapping[int, str]


def read_instances(content: bytes, path: Path) -> InstanceTables:
    """Parse and check an `instances.json`; outlines are checked when they are drawn.

    Args:
        content: The file's bytes.
        path: Where they come from, for messages.

    Raises:
        RefDataError: If it is no JSON object with images, annotations and categories, or a record
            lacks a field.
    """
    try:
        return _instances(content, path)
    except RecursionError as error:
        raise RefDataError(
            f"{path} is nested too deeply for an instances.json; fetch it again"
        ) from error


def _instances(content: bytes, path: Path) -> InstanceTables:
    try:
        data = read_json(content)
    except ValueError as error:
        raise RefDataError(
            f"{path} is not JSON ({error}); the download may be cut off, fetch it again"
        ) from error
    if not isinstance(data, dict):
        raise RefDataError(
            f"{path} holds a {type(data).__name__}, expected an object with images and annotations"
        )
    try:
        return _tables(data)
    except KeyError as error:
        raise RefDataError(
            f"{path} lacks the field {error.args[0]!r} in the whole or in a record"
        ) from error
    except (TypeError, ValueError) as error:
        raise RefDataError(f"{path} has a malformed record: {error}") from error


def _tables(data: Mapping[str, object]) -> InstanceTables:
    """Tables of the parsed file."""
    images = _by_id("image", map(_image, _objects(data["images"])))
    annotations = _annotations(_objects(data["annotations"]))
    kinds = _objects(data["categories"])
    categories = _by_id("category", ((_whole(kind["id"]), _title(kind["name"])) for kind in kinds))
    return InstanceTables(images, annotations, categories)


def _objects(records: object) -> Objects:
    """The records of a list that should hold objects."""
    if not isinstance(records, list):
        raise ValueError(f"{shown(records)} is not a list of objects")
    for record in records:
        if not isinstance(record, dict):
            raise ValueError(f"{shown(record)} is not an object")
    return records


def _by_id(kind: str, records: Iterable[tuple[int, Record]]) -> dict[int, Record]:
    found: dict[int, Record] = {}
    for number, record in records:
        if number in found:
            raise ValueError(f"{kind} id {shown(number)} occurs twice")
        found[number] = record
    return found


def _image(record: Mapping[str, object]) -> tuple[int, ImageRecord]:
    number = _whole(record["id"])
    height, width = (_side(record[name], name, number) for name in ("height", "width"))
    return number, ImageRecord(number, _inside(record["file_name"]), height, width)


def _annotations(records: Objects) -> pa.Table:
    ids, images, kinds = (
        _all_whole([record[key] for record in records]) for key in ("id", "image_id", "category_id")
    )
    if len(set(ids)) < len(ids):
        _by_id("annotation", ((number, number) for number in ids))
    crowds = [bool(record.get("iscrowd")) for record in records]
    numbers = map(whole_numbers, (ids, images, kinds))
    return pa.table([*numbers, _outlines(ids, records), truths(crowds)], schema=_COLUMNS)


def _outlines(ids: Sequence[int], records: Objects) -> pa.ChunkedArray:
    """Outlines as JSON text; some at a time, since the texts of all take much memory."""
    pieces = [
        texts(
            [
                _outline(record["segmentation"], number)
                for number, record in zip(
                    ids[start : start + _AT_ONCE], records[start : start + _AT_ONCE], strict=True
                )
            ]
        )
        for start in range(0, len(records), _AT_ONCE)
    ]
    return pa.chunked_array(pieces, pa.large_string())


def _outline(value: object, annotation: int) -> bytes:
    try:
        text = orjson.dumps(value)
    except TypeError:  # more than 64 bits, half a sign of Unicode, or nested without end
        text = b""
    # What has so few brackets is not nested too deeply; nearly all outlines have two.
    shallow = text and text.count(b"[") + text.count(b"{") <= MAX_NESTING
    if not shallow and _deeper(value, MAX_NESTING):
        raise ValueError(f"the outline of annotation {annotation} is nested too deeply")
    return text or json.dumps(value, separators=(",", ":")).encode()


def _deeper(value: object, levels: int) -> bool:
    """Whether lists and objects, as JSON makes them, are nested more than so many levels deep."""
    if not isinstance(value, list | dict):
        return False
    inside = list(value.values()) if isinstance(value, dict) else value
    if levels == 0 or not {list, dict} & set(map(type, inside)):
        return levels == 0
    return any(_deeper(item, levels - 1) for item in inside)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{shown(value)} is not a whole number")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{shown(value)} is a number of more than 64 bits")
    return value


def _all_whole(values: list[object]) -> list[int]:
    found = [value for value in values if type(value) is int]
    least, most = min(found, default=0), max(found, default=0)
    if len(found) < len(values) or not -(2**63) <= least <= most < 2**63:
        return list(map(_whole, values))  # which words the message
    return found


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a text")
    return value


def _title(value: object) -> str:
    """A name that is shown and read as a text."""
    name = _name(value)
    if not name.isprintable():
        raise ValueError(f"{shown(name)} holds characters that cannot be shown")
    return name


def _side(value: object, what: str, image: int) -> int:
    number = _whole(value)
    if not 1 <= number <= MAX_SIDE:
        raise ValueError(
            f"image {shown(image)} has a {what} of {shown(number)}; allowed: 1 to {MAX_SIDE} pixels"
        )
    return number


def _inside(file_name: object) -> str:
    """A file name inside the image folder."""
    text = _name(file_name)
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if not parts or not text.isprintable():
        raise ValueError(f"file name {shown(text)} is empty or holds control characters")
    if text.startswith("/") or ".." in parts:
        raise ValueError(f"file name {shown(text)} leaves the image folder")
    return text


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
