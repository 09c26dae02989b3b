"""COCO-style `instances.json` of the RefCOCO family: images, objects and their official masks."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from pycocotools import mask as coco_mask


class RefDataError(ValueError):
    """A file of the RefCOCO layout does not hold what the layout requires."""


@dataclass(frozen=True)
class ImageRecord:
    """One image of `instances.json`."""

    image_id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class Annotation:
    """One object, or a crowd of them: its outline as stored (polygons, run lengths, or nothing)."""

    ann_id: int
    image_id: int
    category_id: int
    segmentation: object
    crowd: bool = False


@dataclass(frozen=True)
class Instances:
    """The parsed file, indexed by id."""

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
    """Parse and check an `instances.json`.

    Args:
        content: The file's bytes.
        path: Where they come from, for messages.

    Raises:
        RefDataError: If it is no JSON object with images, annotations and categories, or a record
            lacks a field.
    """
    try:
        data = json.loads(content)
    except RecursionError as error:
        raise RefDataError(
            f"{path} is nested too deeply for an instances.json; fetch it again"
        ) from error
    except ValueError as error:
        raise RefDataError(
            f"{path} is not JSON ({error}); the download may be cut off, fetch it again"
        ) from error
    if not isinstance(data, dict):
        raise RefDataError(
            f"{path} holds a {type(data).__name__}, expected an object with images and annotations"
        )
    try:
        images = {
            record["id"]: ImageRecord(
                record["id"],
                _inside(record["file_name"]),
                int(record["height"]),
                int(record["width"]),
            )
            for record in data["images"]
        }
        annotations = {
            record["id"]: Annotation(
                record["id"],
                record["image_id"],
                record["category_id"],
                record["segmentation"],
                bool(record.get("iscrowd")),
            )
            for record in data["annotations"]
        }
        categories = {record["id"]: record["name"] for record in data["categories"]}
    except KeyError as error:
        raise RefDataError(
            f"{path} lacks the field {error.args[0]!r} in the whole or in a record"
        ) from error
    except (TypeError, ValueError) as error:
        raise RefDataError(f"{path} has a malformed record: {error}") from error
    return Instances(images, annotations, categories)


def _inside(file_name: str) -> str:
    name = PurePosixPath(file_name)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"file name {file_name!r} leaves the image folder")
    return file_name


def decode_mask(
    segmentation: object, height: int, width: int
) -> UInt8[NDArray[np.uint8], "height width"]:
    """Rasterise one object's outline as the official code does: one plane per part, planes summed.

    Where polygons of one object overlap the value is 2 or more; the official score treats such
    pixels apart. An empty outline is an empty mask. Unlike the official code a bare run-length dict
    (COCO's crowd form) is read too.

    Args:
        segmentation: List of polygons [x0, y0, x1, y1, ...] in pixels, list of run-length dicts,
            one run-length dict, or an empty list. Run lengths may be a compressed string, bytes or
            a plain list of counts.
        height: Image height in pixels.
        width: Image width in pixels.

    Raises:
        RefDataError: If the outline has another form or another size than the image.
    """
    if not isinstance(segmentation, dict | list):
        raise RefDataError(
            f"an outline is a {type(segmentation).__name__}, expected polygons or run lengths"
        )
    if not segmentation:
        return np.zeros((height, width), dtype=np.uint8)
    parts = [segmentation] if isinstance(segmentation, dict) else segmentation
    if isinstance(parts[0], dict):
        planes = [_run_lengths(part, height, width) for part in parts]
    else:
        for part in parts:
            _check_polygon(part, height, width)
        # pycocotools takes a list whose first element has four numbers for boxes, so a point that
        # covers nothing leads.
        planes = coco_mask.frPyObjects([[0.0] * 6, *parts], height, width)[1:]
    total: NDArray[np.uint8] = _decode(planes).sum(axis=2).astype(np.uint8)
    return total


def _decode(planes: list[dict[str, object]]) -> NDArray[np.uint8]:
    """Run lengths to pixels, [height, width, planes]."""
    with warnings.catch_warnings():
        # pycocotools 2.0.11 hands its arrays over by a protocol that NumPy 2 still takes, but
        # deprecates.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        pixels: NDArray[np.uint8] = coco_mask.decode(planes)
    return pixels


def _check_polygon(part: object, height: int, width: int) -> None:
    if not isinstance(part, list) or len(part) < 4 or len(part) % 2:
        raise RefDataError("a polygon is no list of at least two points x, y")
    # Far-off points would make the rasteriser claim memory without bound.
    limit = 10 * max(height, width)
    if not all(isinstance(value, int | float) and -limit <= value <= limit for value in part):
        raise RefDataError(
            "a polygon has a point that is no number or far outside the image "
            f"of {height} x {width}"
        )


def _run_lengths(part: object, height: int, width: int) -> dict[str, object]:
    """One run-length record in the form pycocotools decodes."""
    if not isinstance(part, dict) or not isinstance(part.get("counts"), str | bytes | list):
        raise RefDataError("a run-length outline lacks its counts")
    if part.get("size") != [height, width]:
        raise RefDataError(
            f"a run-length outline has size {part.get('size')}, the image {[height, width]}"
        )
    counts = part["counts"]
    if not isinstance(counts, list):
        counts = _unpack(counts.encode() if isinstance(counts, str) else counts)
    # pycocotools leaves pixels that no run reaches uninitialised, so the runs must fill the image.
    if (
        not all(isinstance(count, int) and count >= 0 for count in counts)
        or sum(counts) != height * width
    ):
        raise RefDataError(
            f"run lengths are not whole numbers that add up to {height * width} pixels"
        )
    packed: dict[str, object] = coco_mask.frPyObjects(
        {"size": [height, width], "counts": counts}, height, width
    )
    return packed


def _unpack(packed: bytes) -> list[int]:
    """Run lengths of COCO's compressed form.

    Numbers are written in groups of five bits, low groups first, bit 5 saying that another group
    follows and bit 4 of the last group being the sign; from the fourth on, each is the difference
    to the number two places before.
    """
    counts: list[int] = []
    value = shift = 0
    for byte in packed:
        group = byte - 48
        value |= (group & 31) << shift
        shift += 5
        if group & 32 and shift < 60:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise RefDataError("a run-length outline is cut off")
    return counts


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
            total |= decode_mask(annotation.segmentation, height, width)
        except RefDataError as error:
            raise RefDataError(f"annotation {annotation.ann_id}: {error}") from error
    return total
