"""Rows of the hub's Parquet form, one per reference, turned into tables of the REFER layout."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TypedDict

from litelvlm.data.annotations import MAX_SIDE, RefDataError
from litelvlm.data.images import image_size
from litelvlm.data.safe.shown import shown

UNKNOWN_CATEGORY = -1
"""Category of an object that the source states none of."""
MAX_SENTENCES = 2_000_000
"""Of one split; the largest of the RefCOCO family has 120,000."""
MAX_NUMBERS = 20_000_000
"""Of all outlines of one split; the largest of the family has about 5 million."""
MAX_UNPACKED = 20
"""Size of all pictures in times that of the files they come from; about 1 for JPEG."""
_ROOM = 2**20  # for small files


class _ImageEntry(TypedDict):
    """One image of `instances.json`."""

    id: int
    file_name: str
    height: int
    width: int


class HubTables:
    """Growing lists of images, annotations and references; each picture is written once.

    Args:
        folder: Where pictures are written.
        split: Name of the split.
        packed: Bytes of the files that the rows come from.
    """

    def __init__(self, folder: Path, split: str, packed: int) -> None:
        self.folder, self.split = folder, split
        self.room, self.n_numbers = _ROOM + MAX_UNPACKED * packed, 0
        self.images: dict[str, _ImageEntry] = {}
        self.annotations: dict[str, dict[str, object]] = {}
        self.refs: list[dict[str, object]] = []
        self.pixels = hashlib.sha256()
        self.n_sentences = 0

    def add(self, row: Mapping[str, object]) -> None:
        """Enter one reference.

        Raises:
            RefDataError: If the row cannot be used, or all rows together pass a bound.
            KeyError: If it lacks a column.
        """
        image = self._image(row)
        number = len(self.refs) + 1
        shape = outline(row["segmentation"], image["height"], image["width"])
        key = json.dumps([image["id"], shape or number])
        self.n_numbers += key.count(",")
        # Copies that pool the splits of two authors hold some references twice: the same outline is
        # the same object.
        annotation = self.annotations.setdefault(
            hashlib.sha256(key.encode()).hexdigest(),
            {
                "id": len(self.annotations) + 1,
                "image_id": image["id"],
                "category_id": UNKNOWN_CATEGORY,
                "segmentation": shape,
                "bbox": _numbers(row.get("bbox") or [], "bbox"),
                "iscrowd": int(bool(row.get("iscrowd"))),
            },
        )
        texts = row["answer"]
        if isinstance(texts, str):
            texts = [texts]
        if not (isinstance(texts, list) and texts and all(isinstance(t, str) for t in texts)):
            raise RefDataError(f"answer is {shown(texts)}, expected sentences")
        ids = range(self.n_sentences + 1, self.n_sentences + 1 + len(texts))
        self.n_sentences += len(texts)
        if self.n_sentences > MAX_SENTENCES or self.n_numbers > MAX_NUMBERS:
            raise RefDataError(
                f"the split has {self.n_sentences:,} sentences and outlines of "
                f"{self.n_numbers:,} numbers so far; at most {MAX_SENTENCES:,} and "
                f"{MAX_NUMBERS:,} are read"
            )
        sentences = [
            {"sent_id": i, "sent": text, "raw": text, "tokens": text.split()}
            for i, text in zip(ids, texts, strict=True)
        ]
        self.refs.append(
            {
                "ref_id": number,
                "ann_id": annotation["id"],
                "image_id": image["id"],
                "category_id": [],
                "split": self.split,
                "file_name": image["file_name"],
                "sent_ids": [sentence["sent_id"] for sentence in sentences],
                "sentences": sentences,
            }
        )

    def _image(self, row: Mapping[str, object]) -> _ImageEntry:
        """The record of the row's picture, which is written when it comes up first."""
        stored = row["image"]
        if isinstance(stored, bytes):  # without the path beside them
            stored = {"bytes": stored}
        parts = stored if isinstance(stored, Mapping) else {}
        content = parts.get("bytes")
        if not content:
            raise RefDataError(
                "the image has no bytes; take the version of the dataset that includes its images"
            )
        name = picture_name(str(row.get("file_name") or parts.get("path") or ""), content)
        known = self.images.get(name)
        if known is None:
            try:
                width, height = image_size(content)
            except ValueError as error:
                raise RefDataError(f"the image is not readable: {error}") from error
            if max(width, height) > MAX_SIDE:
                raise RefDataError(
                    f"the image is {width} x {height} pixels; a side has at most {MAX_SIDE}"
                )
            self.room -= len(content)
            if self.room < 0:
                raise RefDataError(
                    f"the pictures are more than {MAX_UNPACKED} times as large as the files they "
                    "come from"
                )
            (self.folder / name).write_bytes(content)
            self.pixels.update(hashlib.sha256(content).digest())
            known = _ImageEntry(id=self._id(name), file_name=name, height=height, width=width)
            self.images[name] = known
        return known

    def _id(self, name: str) -> int:
        """COCO's number in the file name; a running one, apart from those, where there is none."""
        found = re.search(r"(\d{12})\.", name)
        return int(found.group(1)) if found else 10**12 + len(self.images)

    def instances(self) -> dict[str, object]:
        """The content of `instances.json`."""
        return {
            "info": {"description": "from Parquet", "images_sha256": self.pixels.hexdigest()},
            "images": [*self.images.values()],
            "annotations": [*self.annotations.values()],
            "categories": [],
        }


def picture_name(name: str, content: bytes) -> str:
    """Name the file of a row's picture.

    COCO's name without the number of the reference behind it, else a digest of the bytes.

    Example:
        >>> picture_name("COCO_train2014_000000581857_16.jpg", b"")
        'COCO_train2014_000000581857.jpg'
    """
    found = re.fullmatch(
        r"([\w-]{1,60}_\d{12})(?:_\d{1,12})?(\.\w{1,5})", PurePosixPath(name).name, re.ASCII
    )
    return (
        found.group(1) + found.group(2)
        if found
        else hashlib.sha256(content).hexdigest()[:24] + ".img"
    )


def outline(stored: object, height: int, width: int) -> object:
    """Bring an outline into COCO's form.

    It may be one flat polygon, a list of polygons, or run lengths with or without their size.

    Raises:
        RefDataError: If it is none of these.
    """
    if stored is None or stored == []:
        return []
    if isinstance(stored, Mapping):
        counts = stored.get("counts")
        if isinstance(counts, bytes):  # COCO's compressed form is ASCII
            counts = counts.decode("latin1")
        return {"size": list(stored.get("size") or [height, width]), "counts": counts}
    if isinstance(stored, list) and all(isinstance(value, int | float) for value in stored):
        stored = [stored]
    if not (isinstance(stored, list) and all(isinstance(part, list) for part in stored)):
        raise RefDataError(
            f"segmentation is a {type(stored).__name__}, expected polygons or run lengths"
        )
    return [_numbers(part, "segmentation") for part in stored]


def _numbers(values: object, column: str) -> list[int | float]:
    """A list of finite numbers.

    Raises:
        RefDataError: If it is anything else.
    """
    found: list[int | float] = []
    for value in values if isinstance(values, list) else [values]:
        if not (isinstance(value, int | float) and math.isfinite(value)):
            raise RefDataError(f"{column} holds {shown(value)}, expected numbers")
        found.append(value)
    return found
