"""The table of referring expressions (`refs(*.p`, `grefs(*.json`), checked field by field."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, FailFast, Field, TypeAdapter

from litelvlm.data.annotations import Instances, RefDataError, checked, parse_json
from litelvlm.data.safe.fields import Text, Whole
from litelvlm.data.safe.pickles import UnsafePickleError, loads_plain

NO_TARGET = -1
Wholes = Annotated[
    tuple[Whole, ...],
    BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,)),
    Field(description="a whole number, or a list of them"),
]


class Sentence(BaseModel, frozen=True):
    """One wording of a reference."""

    sent_id: Whole
    sent: Text
    kind: Text | None = None


class Ref(BaseModel, frozen=True):
    """One reference: the objects meant and every wording; `ann_id` is (-1,) for no target."""

    ref_id: Whole
    ann_id: Annotated[Wholes, Field(min_length=1)]
    image_id: Whole
    category_id: Wholes
    split: Text
    sentences: Annotated[
        tuple[Sentence, ...], Field(description="a list of sentences {sent_id, sent}")
    ]


_REFS = TypeAdapter(Annotated[list[Ref], FailFast()])


def read_refs(content: bytes, path: Path) -> list[Ref]:
    """Parse and check a table of references, in file order.

    Args:
        content: The file's bytes; a pickle of plain data, or JSON if the path ends so.
        path: Where they come from, for messages.

    Raises:
        RefDataError: If the table is not a list of reference records; the message names record and
            field.
        UnsafePickleError: If a pickle holds anything but plain data.
    """
    try:
        data = parse_json(content, path) if path.suffix == ".json" else loads_plain(content)
    except UnsafePickleError as error:
        raise UnsafePickleError(
            f"{path} was not loaded: {error}. Files of the RefCOCO family hold lists, dicts, "
            "strings and numbers only; download the file again from its source and do not open "
            "this one with pickle"
        ) from error
    return checked(_REFS, data, path)


def check_belongs(refs: Iterable[Ref], instances: Instances, refs_path: Path) -> None:
    """Refuse a table of references that was made for other instances.

    Raises:
        RefDataError: Naming the first image or object that `instances.json` lacks, and how many
            references fail.
    """
    found = [(ref.ref_id, problem) for ref in refs if (problem := _mismatch(ref, instances))]
    if found:
        number, problem = found[0]
        raise RefDataError(
            f"{refs_path} does not belong to the instances.json in its folder: reference {number} "
            f"{problem} ({len(found)} references fail in all); take both files from the same "
            "release"
        )


def _mismatch(ref: Ref, instances: Instances) -> str:
    if ref.image_id not in instances.images:
        return f"names image {ref.image_id}, which is not there"
    for ann_id in ref.ann_id:
        if ann_id == NO_TARGET:
            continue
        meant = instances.annotations.get(ann_id)
        if meant is None:
            return f"names annotation {ann_id}, which is not there"
        if meant.image_id != ref.image_id:
            return (
                f"puts annotation {ann_id} on image {ref.image_id}, instances on image "
                f"{meant.image_id}"
            )
    return ""
