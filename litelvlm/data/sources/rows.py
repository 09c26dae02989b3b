"""Rows of Parquet data sets in the two layouts that are read: one object each, or one picture."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter

from litelvlm.data.safe.fields import Flag, Pixels, Text, Title, Whole, fitted
from litelvlm.data.safe.rasterise import RefDataError
from litelvlm.data.safe.shown import shown


class ObjectEntry(NamedTuple):
    """One object and what is said of it.

    Attributes:
        column: Where its outline stands, for messages.
        outline: As stored: polygons, run lengths, or nothing.
        sentences: What is said.
        bbox: [x, y, width, height] in pixels; empty where none is stated.
        crowd: Whether it stands for many objects.
        number: Its id; None where none is stated.
        category: Name of its category; None where none is stated.
    """

    column: str
    outline: object
    sentences: tuple[str, ...]
    bbox: Sequence[float] = ()
    crowd: bool = False
    number: int | None = None
    category: str | None = None

    @property
    def id_column(self) -> str:
        """Where its id stands or would stand, for messages."""
        return ".".join((*self.column.split(".")[:-1], "id"))


class PictureEntry(NamedTuple):
    """A picture and objects on it.

    Attributes:
        content: Its file.
        name: Its file name; "" where none is stated.
        number: Its id; None where none is stated.
        objects: What is referred to.
    """

    content: bytes
    name: str
    number: int | None
    objects: tuple[ObjectEntry, ...]


class Layout(NamedTuple):
    """One layout of rows.

    Attributes:
        needs: Columns that must be there.
        takes: Columns that are read where they are there.
        read: From a row to what it holds; it raises ``ValueError`` where a field is wrong.
    """

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    read: Callable[[Mapping[str, object]], PictureEntry]


class _Sample(BaseModel):
    sentences: Annotated[tuple[Text, ...], Field(min_length=1, description="a list of texts")]
    id: Whole | None = None
    image_id: Whole | None = None
    category: Title | None = None
    bbox: tuple[Pixels, Pixels, Pixels, Pixels] | None = None
    iscrowd: Flag = False
    mask: object = None
    segmentation: object = None


class _PictureRow(BaseModel):
    image: object
    samples: Annotated[tuple[_Sample, ...], Field(description="a list of objects")]
    image_id: Whole | None = None
    file_name: Text | None = None


class _Crowd(BaseModel):
    iscrowd: Flag = False


_PICTURE_ROW, _CROWD = TypeAdapter(_PictureRow), TypeAdapter(_Crowd)


def read_picture_row(row: Mapping[str, object]) -> PictureEntry:
    """A row of one picture with a list of objects, as RefCOCO-M has them.

    Raises:
        RefDataError: Naming the field that is missing or wrong, and what is expected there.
    """
    found = fitted(_PICTURE_ROW, row)
    objects = []
    for place, sample in enumerate(found.samples):
        if sample.image_id not in (None, found.image_id):
            raise RefDataError(
                f"samples.{place}.image_id is {sample.image_id}, the row's is {found.image_id}"
            )
        stated = [name for name in ("mask", "segmentation") if getattr(sample, name) is not None]
        if len(stated) != 1:
            raise RefDataError(
                f"samples.{place} has {' and '.join(stated) or 'no mask'}; give a mask of run "
                "lengths, {counts, size}, or a segmentation of polygons"
            )
        objects.append(
            ObjectEntry(
                column=f"samples.{place}.{stated[0]}",
                outline=getattr(sample, stated[0]),
                sentences=sample.sentences,
                bbox=sample.bbox or (),
                crowd=sample.iscrowd,
                number=sample.id,
                category=sample.category,
            )
        )
    content, name = _picture(found.image)
    return PictureEntry(content, found.file_name or name, found.image_id, tuple(objects))


def read_object_row(row: Mapping[str, object]) -> PictureEntry:
    """A row of one object, as lmms-lab's copies of RefCOCO have them.

    Raises:
        RefDataError: If a field is wrong.
    """
    texts = row["answer"]
    if isinstance(texts, str):
        texts = [texts]
    if not (isinstance(texts, list) and texts and all(isinstance(t, str) for t in texts)):
        raise RefDataError(f"answer is {shown(texts)}, expected sentences")
    content, name = _picture(row["image"])
    entry = ObjectEntry(
        column="segmentation",
        outline=row["segmentation"],
        sentences=tuple(texts),
        bbox=numbers(row.get("bbox") or [], "bbox"),
        crowd=fitted(_CROWD, row).iscrowd,
    )
    return PictureEntry(content, str(row.get("file_name") or name), None, (entry,))


LAYOUTS = (
    Layout(("image", "samples"), ("image_id", "file_name"), read_picture_row),
    Layout(("image", "segmentation", "answer"), ("file_name", "bbox", "iscrowd"), read_object_row),
)
"""Layouts in the order in which a file's columns are tried."""


def layout_of(columns: Sequence[str]) -> Layout:
    """The layout of a file with these columns.

    Raises:
        RefDataError: If it has neither; the message names what the nearer one lacks.
    """
    for layout in LAYOUTS:
        if set(layout.needs) <= set(columns):
            return layout
    nearest = max(LAYOUTS, key=lambda layout: len(set(layout.needs) & set(columns)))
    lacks = ", ".join(name for name in nearest.needs if name not in columns)
    known = " or ".join(f"({', '.join(layout.needs)})" for layout in LAYOUTS)
    raise RefDataError(
        f"lacks the columns {lacks}; it has {', '.join(columns)[:200]}; rows of {known} are read"
    )


def outline(stored: object, height: int, width: int, column: str) -> object:
    """Bring an outline into COCO's form.

    It may be one flat polygon, a list of polygons, or run lengths with or without their size.

    Raises:
        RefDataError: If it is none of these, or its size is not that of the picture.
    """
    if stored is None or stored == []:
        return []
    if isinstance(stored, Mapping):
        counts = stored.get("counts")
        if isinstance(counts, bytes):  # COCO's compressed form is ASCII
            counts = counts.decode("latin1")
        if not isinstance(counts, str | list):
            raise RefDataError(
                f"{column}.counts is {shown(counts)}, expected a text or a list of whole numbers"
            )
        size = list(stored.get("size") or [height, width])
        if size != [height, width]:
            raise RefDataError(
                f"{column}.size is {shown(size)}, expected [height, width] of the picture, "
                f"{[height, width]}"
            )
        return {"size": size, "counts": counts}
    if isinstance(stored, list) and all(isinstance(value, int | float) for value in stored):
        stored = [stored]
    if not (isinstance(stored, list) and all(isinstance(part, list) for part in stored)):
        raise RefDataError(
            f"{column} is a {type(stored).__name__}, expected polygons or run lengths"
        )
    return [numbers(part, column) for part in stored]


def numbers(values: object, column: str) -> list[int | float]:
    """A list of finite numbers.

    Raises:
        RefDataError: If it is anything else.
    """
    found: list[int | float] = []
    for value in values if isinstance(values, list) else [values]:
        if isinstance(value, bool) or not (isinstance(value, int | float) and isfinite(value)):
            raise RefDataError(f"{column} holds {shown(value)}, expected numbers")
        found.append(value)
    return found


def _picture(stored: object) -> tuple[bytes, str]:
    """The file of a picture, and its name where one is stated."""
    if isinstance(stored, bytes):  # without the path beside them
        stored = {"bytes": stored}
    parts = stored if isinstance(stored, Mapping) else {}
    content = parts.get("bytes")
    if not (content and isinstance(content, bytes)):
        raise RefDataError(
            "the image has no bytes; take the version of the dataset that includes its images, "
            "or store the content of each picture's file"
        )
    return content, str(parts.get("path") or "")
