"""Tables of clips and expressions (`meta_expressions.json`), checked field by field."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, TypeAdapter

from litelvlm.data.annotations import InFolder, RefDataError, checked, parse_json
from litelvlm.data.safe.fields import Text, Whole


def _several(value: object) -> object:
    """One id or several, as numbers; DAVIS and YouTube-VOS write one as a text."""
    values = value if isinstance(value, list) else [value]
    return tuple(
        int(one) if isinstance(one, str) and one.isascii() and one.isdecimal() else one
        for one in values
    )


def _once(values: list[str]) -> list[str]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"the frame {twice[0]!r} stands twice in one clip")
    return values


Ids = Annotated[tuple[Whole, ...], BeforeValidator(_several)]


class ClipSentence(BaseModel, frozen=True):
    """One expression.

    Attributes:
        exp: The text.
        obj_id: Objects of the clip that it means; None where the table keeps them to itself.
        anno_id: Their entries in the table of masks; None where there is no such table.
        kind: Kind of expression; published tables name none.
    """

    exp: Text
    obj_id: Ids | None = None
    anno_id: Ids | None = None
    kind: Text | None = None


class ClipRecord(BaseModel, frozen=True):
    """One clip: names of its frames in their order, and its expressions by their ids."""

    frames: Annotated[list[InFolder], Field(min_length=1), AfterValidator(_once)]
    expressions: dict[str, ClipSentence]


class _File(BaseModel):
    videos: dict[InFolder, ClipRecord]


_FILE = TypeAdapter(_File)


def read_expressions(path: Path) -> dict[str, ClipRecord]:
    """Read the clips of a split by name, in file order.

    Raises:
        RefDataError: If it is no JSON of that form, a key or a frame stands twice, a clip has no
            frame, or no clip has an expression.
    """
    clips = checked(_FILE, parse_json(path.read_bytes(), path), path).videos
    if not any(clip.expressions for clip in clips.values()):
        raise RefDataError(f"{path} has no expression; fetch it again")
    return clips
