"""The table of referring expressions (`refs(*.p`, `grefs(*.json`), checked field by field."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from litelvlm.data.annotations import InstanceTables, RefDataError
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.pickles import UnsafePickleError, loads_plain
from litelvlm.data.safe.shown import shown

NO_TARGET = -1


class Sentence(NamedTuple):
    """One wording of a reference."""

    sent_id: int
    sent: str
    kind: str | None


class Ref(NamedTuple):
    """One reference: the objects meant and every wording; `ann_ids` is (-1,) for no target."""

    ref_id: int
    ann_ids: tuple[int, ...]
    image_id: int
    category_ids: tuple[int, ...]
    split: str
    sentences: tuple[Sentence, ...]


def read_refs(content: bytes, path: Path) -> tuple[Ref, ...]:
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
        data = read_json(content) if path.suffix == ".json" else loads_plain(content)
    except UnsafePickleError as error:
        raise UnsafePickleError(
            f"{path} was not loaded: {error}. Files of the RefCOCO family hold lists, dicts, "
            "strings and numbers only; download the file again from its source and do not open "
            "this one with pickle"
        ) from error
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:
        raise RefDataError(
            f"{path} is not JSON ({error}); the download may be cut off, fetch it again"
        ) from error
    if not isinstance(data, list):
        raise RefDataError(f"{path} holds a {type(data).__name__}, expected a list of references")
    try:
        return tuple(_ref(record, f"{path}, reference {i}") for i, record in enumerate(data))
    except RecursionError as error:  # a pickle nests without bound, and a message shows its value
        raise _too_deep(path) from error


def _too_deep(path: Path) -> RefDataError:
    return RefDataError(f"{path} is nested too deeply for a table of references; fetch it again")


def _ref(record: object, where: str) -> Ref:
    listed = _field(record, "sentences", where)
    if not isinstance(listed, (list, tuple)):
        raise RefDataError(f"{where} has {shown(listed)}, expected a list of sentences")
    sentences = tuple(
        Sentence(
            _number(_field(item, "sent_id", where, place), where),
            _text(_field(item, "sent", where, place), where),
            _kind(item, where),
        )
        for place, item in enumerate(listed)
    )
    return Ref(
        ref_id=_number(_field(record, "ref_id", where), where),
        ann_ids=_objects(_field(record, "ann_id", where), where),
        image_id=_number(_field(record, "image_id", where), where),
        category_ids=_numbers(_field(record, "category_id", where), where),
        split=_text(_field(record, "split", where), where),
        sentences=sentences,
    )


def _field(record: object, name: str, where: str, sentence: int | None = None) -> object:
    if isinstance(record, dict) and name in record:
        value: object = record[name]
        return value
    if sentence is not None:
        where = f"{where}, sentence {sentence}"
    if not isinstance(record, dict):
        raise RefDataError(f"{where} is a {type(record).__name__}, expected a dict")
    raise RefDataError(f"{where} lacks the field {name!r}")


def _number(value: object, where: str) -> int:
    if type(value) is not int:
        raise RefDataError(f"{where} has {shown(value)}, expected a whole number")
    if not -(2**63) <= value < 2**63:
        raise RefDataError(f"{where} has {shown(value)}, a number of more than 64 bits")
    return value


def _numbers(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)):
        return (_number(value, where),)
    return tuple(_number(item, where) for item in value)


def _objects(value: object, where: str) -> tuple[int, ...]:
    found = _numbers(value, where)
    if not found:
        raise RefDataError(
            f"{where} has an empty ann_id; write [-1] for an expression without an object"
        )
    return found


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise RefDataError(f"{where} has {shown(value)}, expected text")
    if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise RefDataError(f"{where} has {shown(value)}, which is not valid Unicode")
    return value


def _kind(sentence: object, where: str) -> str | None:
    kind = sentence.get("kind") if isinstance(sentence, dict) else None
    return None if kind is None else _text(kind, where)


def check_belongs(refs: Iterable[Ref], instances: InstanceTables, refs_path: Path) -> None:
    """Refuse a table of references that was made for other instances.

    Raises:
        RefDataError: Naming the first image or object that `instances.json` lacks, and how many
            references fail.
    """
    columns = (instances.annotations[name].to_pylist() for name in ("ann_id", "image_id"))
    image_of = dict(zip(*columns, strict=True))
    first, n = "", 0
    for ref in refs:
        problem = _mismatch(ref, instances.images, image_of)
        if problem:
            first, n = first or f"reference {ref.ref_id} {problem}", n + 1
    if n:
        raise RefDataError(
            f"{refs_path} does not belong to the instances.json in its folder: {first} "
            f"({n} references fail in all); take both files from the same release"
        )


def _mismatch(ref: Ref, images: Collection[int], image_of: Mapping[int, int]) -> str:
    if ref.image_id not in images:
        return f"names image {ref.image_id}, which is not there"
    for ann_id in ref.ann_ids:
        if ann_id == NO_TARGET:
            continue
        image = image_of.get(ann_id)
        if image is None:
            return f"names annotation {ann_id}, which is not there"
        if image != ref.image_id:
            return f"puts annotation {ann_id} on image {ref.image_id}, instances on image {image}"
    return ""
