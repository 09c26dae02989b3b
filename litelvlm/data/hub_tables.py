"""What rows of Parquet files hold, turned into tables of the REFER layout."""

import hashlib
import json
import re
from pathlib import Path, PurePosixPath
from typing import TypedDict

from litelvlm.data.annotations import MAX_SIDE, RefDataError
from litelvlm.data.images import image_size
from litelvlm.data.safe.shown import shown
from litelvlm.data.sources.rows import ObjectEntry, PictureEntry, outline

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
        self.contents: dict[str, bytes] = {}
        self.annotations: dict[str, dict[str, object]] = {}
        self.image_ids, self.object_ids, self.ref_ids = set[int](), set[int](), set[int]()
        self.categories: dict[str, int] = {}
        self.refs: list[dict[str, object]] = []
        self.pixels = hashlib.sha256()
        self.n_sentences = 0

    def add(self, found: PictureEntry) -> None:
        """Enter a picture and the references to its objects.

        Raises:
            RefDataError: If the picture or an outline cannot be used, an id stands for two things,
                or all rows together pass a bound.
        """
        if found.objects:
            image = self._image(found)
            for entry in found.objects:
                self._reference(image, entry)

    def _reference(self, image: _ImageEntry, entry: ObjectEntry) -> None:
        running, category = len(self.refs) + 1, self._category(entry.category)
        shape = outline(entry.outline, image["height"], image["width"], entry.column)
        drawn = json.dumps([image["id"], shape or running])
        self.n_numbers += drawn.count(",")
        # Copies that pool the splits of two authors hold some references twice: the same outline is
        # the same object.
        key = hashlib.sha256(drawn.encode()).hexdigest()
        if entry.number is not None:
            key = str(entry.number)
            if key in self.annotations:
                raise RefDataError(f"the object id {key} stands twice; an id means one object")
        if key not in self.annotations:
            self.annotations[key] = {
                "id": _taken(self.object_ids, entry, len(self.annotations) + 1),
                "image_id": image["id"],
                "category_id": category,
                "segmentation": shape,
                "bbox": list(entry.bbox),
                "iscrowd": int(entry.crowd),
            }
        ids = range(self.n_sentences + 1, self.n_sentences + 1 + len(entry.sentences))
        self.n_sentences += len(entry.sentences)
        if self.n_sentences > MAX_SENTENCES or self.n_numbers > MAX_NUMBERS:
            raise RefDataError(
                f"the split has {self.n_sentences:,} sentences and outlines of "
                f"{self.n_numbers:,} numbers so far; at most {MAX_SENTENCES:,} and "
                f"{MAX_NUMBERS:,} are read"
            )
        sentences = [
            {"sent_id": i, "sent": text, "raw": text, "tokens": text.split()}
            for i, text in zip(ids, entry.sentences, strict=True)
        ]
        self.refs.append(
            {
                "ref_id": _taken(self.ref_ids, entry, running),
                "ann_id": self.annotations[key]["id"],
                "image_id": image["id"],
                "category_id": [] if category == UNKNOWN_CATEGORY else category,
                "split": self.split,
                "file_name": image["file_name"],
                "sent_ids": [sentence["sent_id"] for sentence in sentences],
                "sentences": sentences,
            }
        )

    def _category(self, name: str | None) -> int:
        if name is None:
            return UNKNOWN_CATEGORY
        return self.categories.setdefault(name, len(self.categories) + 1)

    def _image(self, found: PictureEntry) -> _ImageEntry:
        """The record of a picture, which is written when it comes up first."""
        numbered, content = found.number is not None, hashlib.sha256(found.content).digest()
        name = f"{found.number}.img" if numbered else picture_name(found.name, found.content)
        if self.contents.setdefault(name, content) != content:
            if numbered:
                raise RefDataError(f"the image id {found.number} stands for two pictures")
            name = picture_name("", found.content)  # two folders may number their pictures alike
        known = self.images.get(name)
        if known is None:
            try:
                width, height = image_size(found.content)
            except ValueError as error:
                raise RefDataError(f"the image is not readable: {error}") from error
            if max(width, height) > MAX_SIDE:
                raise RefDataError(
                    f"the image is {width} x {height} pixels; a side has at most {MAX_SIDE}"
                )
            self.room -= len(found.content)
            if self.room < 0:
                raise RefDataError(
                    f"the pictures are more than {MAX_UNPACKED} times as large as the files they "
                    "come from"
                )
            (self.folder / name).write_bytes(found.content)
            self.pixels.update(content)
            number = self._image_id(found, name)
            known = _ImageEntry(id=number, file_name=name, height=height, width=width)
            self.images[name] = known
        return known

    def _image_id(self, found: PictureEntry, name: str) -> int:
        """The id that a row states; else COCO's number in the file name, else a running one."""
        in_name = re.search(r"(\d{12})\.", name)
        if found.number is not None:
            number, told = found.number, "image_id is"
        elif in_name:
            number = int(in_name.group(1))
            told = f"image_id is left out, and the file name {shown(found.name)} gives"
        else:
            number, told = 10**12 + len(self.images), "image_id is left out and counted as"
        if number in self.image_ids:
            raise RefDataError(
                f"{told} {number}, which another picture has; state image_id of every picture, or "
                "give the files other numbers"
            )
        self.image_ids.add(number)
        return number

    def instances(self) -> dict[str, object]:
        """The content of `instances.json`."""
        return {
            "info": {"description": "from Parquet", "images_sha256": self.pixels.hexdigest()},
            "images": [*self.images.values()],
            "annotations": [*self.annotations.values()],
            "categories": [
                {"id": number, "name": name} for name, number in self.categories.items()
            ],
        }


def _taken(ids: set[int], entry: ObjectEntry, running: int) -> int:
    """Take the id that an object states, else a running number, out of those that are free."""
    number, told = entry.number, "is"
    if number is None:
        number, told = running, "is left out and counted as"
    if number in ids:
        raise RefDataError(
            f"{entry.id_column} {told} {number}, which another object has; state id of every "
            "object, or of none"
        )
    ids.add(number)
    return number


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
