"""Rows of the hub's Parquet form, one per reference, turned into tables of the REFER layout."""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TypedDict

from PIL import Image

from litelvlm.data.annotations import RefDataError
from litelvlm.data.images import why_unreadable

UNKNOWN_CATEGORY = -1
"""Category of an object that the source states none of."""


class _ImageEntry(TypedDict):
    """One image of `instances.json`."""

    id: int
    file_name: str
    height: int
    width: int


class HubTables:
    """Growing lists of images, annotations and references; each picture is written once."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self.images: dict[str, _ImageEntry] = {}
        self.annotations: dict[str, dict[str, object]] = {}
        self.refs: list[dict[str, object]] = []
        self.pixels = hashlib.sha256()
        self.n_sentences = 0

    def add(self, row: Mapping[str, object]) -> None:
        """Enter one reference."""
        image = self._image(row)
        number = len(self.refs) + 1
        shape = outline(row["segmentation"], image["height"], image["width"])
        # Copies that pool the splits of two authors hold some references twice: the same outline is
        # the same object.
        annotation = self.annotations.setdefault(
            json.dumps([image["id"], shape or number]),
            {
                "id": len(self.annotations) + 1,
                "image_id": image["id"],
                "category_id": UNKNOWN_CATEGORY,
                "segmentation": shape,
                "bbox": row.get("bbox") or [],
                "iscrowd": int(bool(row.get("iscrowd"))),
            },
        )
        texts = row["answer"]
        if isinstance(texts, str):
            texts = [texts]
        if not (isinstance(texts, list) and texts and all(isinstance(t, str) for t in texts)):
            raise RefDataError(f"answer is {texts!r}, expected sentences")
        ids = range(self.n_sentences + 1, self.n_sentences + 1 + len(texts))
        self.n_sentences += len(texts)
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
                "the image has no bytes; take the form of the dataset that holds its images"
            )
        name = picture_name(str(row.get("file_name") or parts.get("path") or ""), content)
        known = self.images.get(name)
        if known is None:
            try:
                with Image.open(io.BytesIO(content)) as picture:
                    width, height = picture.size
            except OSError as error:
                raise RefDataError(f"the image is not readable: {why_unreadable(error)}") from error
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
    found = re.fullmatch(r"(.*_\d{12})(?:_\d+)?(\.\w+)", PurePosixPath(name).name)
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
        return {"size": list(stored.get("size") or [height, width]), "counts": stored.get("counts")}
    if isinstance(stored, list) and all(isinstance(value, int | float) for value in stored):
        return [stored]
    if isinstance(stored, list) and all(isinstance(part, list) for part in stored):
        return stored
    raise RefDataError(
        f"segmentation is a {type(stored).__name__}, expected polygons or run lengths"
    )
