"""Rows of strangers' files: read within bounds, each field checked before it is used."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from litelvlm.data.cache import cache_folder
from litelvlm.data.content import content_digest
from litelvlm.data.files import atomic_folder
from litelvlm.data.images import image_size
from litelvlm.data.safe.json_data import read_json
from litelvlm.data.safe.parquet import open_parquet, read_rows
from litelvlm.data.safe.shown import shown
from litelvlm.data.understanding.question import PlacedError, QuestionDataError

Row = Mapping[str, object]
MAX_BYTES = 2**30
"""Of one file of questions; VQAv2's largest has 400 MB."""
MAX_TEXT = 20_000
"""Letters of one question, hint, option or answer."""
MAX_QUESTIONS = 1_000_000
MAX_UNPACKED = 20
"""Size of a Parquet set's pictures in times that of its files; about 1 for JPEG."""
_FIELD_BYTES = 2**26  # a picture in base64 inside a table


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        QuestionDataError: If it is too large.
        FileNotFoundError: If it is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise PlacedError(
            f"{path} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read"
        )
    return path.read_bytes()


def json_of(path: Path) -> object:
    """A JSON file.

    Raises:
        QuestionDataError: If it is damaged or too large.
    """
    try:
        return read_json(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise PlacedError(f"{path} cannot be read as JSON: {error}") from error


def json_lines(path: Path) -> list[Row]:
    """A file with one JSON object per line, or one JSON list of objects.

    Raises:
        QuestionDataError: If a line is no object.
    """
    content = read_bytes(path)
    if content.lstrip()[:1] == b"[":
        return rows_in(json_of(path), str(path))
    found: list[Row] = []
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                found += rows_in([read_json(line)], f"{path}, line {number}")
            except (ValueError, RecursionError) as error:
                raise PlacedError(f"{path}, line {number}: {error}") from error
    return found


def table_rows(path: Path) -> list[Row]:
    """A table with tabs between its fields and a line of names.

    Raises:
        QuestionDataError: If it is no such table.
    """
    before = csv.field_size_limit(_FIELD_BYTES)
    try:
        text = read_bytes(path).decode("utf-8-sig")
        return [dict(row) for row in csv.DictReader(io.StringIO(text), delimiter="\t", strict=True)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PlacedError(f"{path} is not a table with tabs: {error}") from error
    finally:
        csv.field_size_limit(before)


def rows_in(value: object, where: str) -> list[Row]:
    """A list of objects.

    Raises:
        QuestionDataError: If it is none.
    """
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise PlacedError(f"{where}: expected a list of objects, found {shown(value)}")
    return list(value)


def table_in(value: object, where: str) -> Mapping[str, object]:
    """An object.

    Raises:
        QuestionDataError: If it is none.
    """
    if not isinstance(value, dict):
        raise PlacedError(f"{where}: expected an object, found {shown(value)}")
    return value


def keyed(rows: Iterable[Row], name: str, where: str) -> dict[str, Row]:
    """Rows by one of their fields; of equal ones the last.

    Raises:
        QuestionDataError: If a row lacks the field.
    """
    found: dict[str, Row] = {}
    for number, row in enumerate(rows, 1):
        try:
            found[text_in(row, name)] = row
        except QuestionDataError as error:
            raise PlacedError(f"{where}, row {number}: {error}") from error
    return found


def text_in(row: Row, name: str, default: str | None = None) -> str:
    """A text, or a number as text.

    Args:
        row: The row.
        name: The field.
        default: For a missing or empty field; None refuses it.

    Raises:
        QuestionDataError: If it is missing, no text, or too long.
    """
    value = row.get(name)
    if value is None or value == "":
        if default is None:
            raise QuestionDataError(f"the field {name!r} is missing or empty in {_brief(row)}")
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise QuestionDataError(f"the field {name!r} is {shown(value)}, expected a text")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise QuestionDataError(
            f"the field {name!r} has {len(text):,} letters; at most {MAX_TEXT:,} are read"
        )
    return text


def texts_in(row: Row, name: str, inner: str = "") -> tuple[str, ...]:
    """A list of texts, or of objects that hold one each; empty where the field is missing.

    Raises:
        QuestionDataError: If it is something else.
    """
    value = row.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise QuestionDataError(f"the field {name!r} is {shown(value)}, expected a list")
    return tuple(
        text_in(one, inner, "") if isinstance(one, dict) else text_in({name: one}, name, "")
        for one in value
    )


def _brief(row: Row) -> str:
    return shown({key: value for key, value in row.items() if key != "image"})


def below(folder: Path, name: str) -> Path:
    """A file below a folder, named by a stranger.

    Raises:
        QuestionDataError: If the name leads out of the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise QuestionDataError(f"the picture {shown(name)} lies outside of {folder}")
    return folder / path


def picture(folder: Path, stem: str) -> Path:
    """The picture of this name, with ".jpg", ".png" or ".jpeg"; ".jpg" if there is none."""
    first = below(folder, f"{stem}.jpg")
    others = (below(folder, f"{stem}{ending}") for ending in (".png", ".jpeg"))
    return first if first.is_file() else next((p for p in others if p.is_file()), first)


def picture_digest(path: Path) -> str:
    """Digest of a picture's content, so that equal pictures are one; its name if it is missing."""
    return picture_name(path.read_bytes()) if path.is_file() else path.name


def picture_name(content: bytes) -> str:
    """The name under which a picture of this content is kept."""
    return hashlib.sha256(content).hexdigest()[:32]


def check_picture(content: bytes) -> None:
    """Refuse bytes that are no picture, before they are stored.

    Raises:
        QuestionDataError: If they are none.
    """
    try:
        image_size(content)
    except ValueError as error:
        raise QuestionDataError(f"the picture is damaged: {error}") from error


def parquet_files(root: Path) -> list[Path]:
    """Parquet files of a folder, in it or one or two folders below."""
    return sorted(
        path
        for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet")
        for path in root.glob(pattern)
    )


def parquet_rows(files: Sequence[Path], columns: Sequence[str]) -> Iterator[Row]:
    """Rows of Parquet files; a picture becomes a file in the cache folder.

    A missing or empty one becomes None.

    The field "row_number" is the row's place among all rows.

    Args:
        files: The files.
        columns: Columns that are read where they are there; "image" holds the picture.

    Raises:
        QuestionDataError: If a file or a picture is damaged, or all pictures are too large.
    """
    packed = sum(file.stat().st_size for file in files)
    key = hashlib.sha256(content_digest(files).encode()).hexdigest()[:16]
    target = cache_folder() / f"pictures-{key}"
    if not target.is_dir():
        atomic_folder(target, lambda place: _unpack(files, place, packed))
    for number, (_, row, content) in enumerate(_packed_rows(files, columns)):
        image = None if content is None else target / picture_name(content)
        yield {**row, "image": image, "row_number": number}


def _packed_rows(
    files: Sequence[Path], columns: Sequence[str]
) -> Iterator[tuple[str, Row, bytes | None]]:
    """The place of every row, the row, and the bytes of its picture."""
    for path in files:
        try:
            file = open_parquet(path, {*columns, "image.bytes", "image.list.element.bytes"})
            names = set(file.schema_arrow.names)
            rows = read_rows(file, [name for name in columns if name in names])
            for number, row in enumerate(rows, 1):
                where = f"{path}, row {number}"
                yield where, row, _content(row.get("image"), where)
        except (ValueError, OSError) as error:
            if isinstance(error, PlacedError):
                raise
            raise PlacedError(f"{path}: {error}") from error


def _content(value: object, where: str) -> bytes | None:
    """The bytes of a picture in the hub's form, None without any; of a list the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("bytes")
    if value is None:
        return None
    if not isinstance(value, bytes):
        raise PlacedError(f"{where}: the picture is {shown(value)}, expected the bytes of a file")
    return value or None


def _unpack(files: Sequence[Path], place: Path, packed: int) -> None:
    """Write every picture once."""
    room = 2**20 + MAX_UNPACKED * packed
    for where, _, content in _packed_rows(files, ["image"]):
        if content is None or (place / picture_name(content)).exists():
            continue
        room -= len(content)
        if room < 0:
            raise PlacedError(
                f"the pictures take more than {MAX_UNPACKED} times the size of {files[0].parent}"
            )
        try:
            check_picture(content)
        except QuestionDataError as error:
            raise PlacedError(f"{where}: {error}") from error
        (place / picture_name(content)).write_bytes(content)


def numbered(rows: Iterable[Row], where: str, make: Callable[[Row], None]) -> None:
    """Use every row; an error tells which row it was, also if it lies in how the row is read.

    Raises:
        QuestionDataError: From ``rows`` or ``make``, or if there are too many rows.
    """
    waiting = iter(rows)
    for number in range(1, MAX_QUESTIONS + 2):
        try:
            row = next(waiting, None)
            if row is None:
                return
            if number > MAX_QUESTIONS:
                raise PlacedError(f"{where} has more than {MAX_QUESTIONS:,} questions")
            make(row)
        except PlacedError:
            raise
        except QuestionDataError as error:
            raise PlacedError(f"{where}, question {number}: {error}") from error
