"""Both tables of a data set: read and checked once, then kept in a form that opens fast.

Reading a stranger's pickle safely takes long. What came out of it is kept in the cache folder under
the content of both files and of the code that checked them.
"""

import gc
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from litelvlm.data.annotations import (
    Annotation,
    ImageRecord,
    Instances,
    InstanceTables,
    read_instances,
)
from litelvlm.data.cache import cache_folder
from litelvlm.data.files import atomic_folder, set_aside
from litelvlm.data.refs import Ref, Sentence, check_belongs, read_refs
from litelvlm.data.safe.columns import texts, whole_numbers

logger = logging.getLogger(__name__)

WORTH_KEEPING = 200_000
"""Bytes of both files together; smaller ones are read about as fast as what was kept of them."""
_PARTS, NOTES = ("refs", "images", "annotations"), "notes.json"


class Tables(NamedTuple):
    """The references and the instances of a data set; rows stand in the order of the files.

    Attributes:
        refs: Columns split and record, a reference as JSON text.
        images: Columns image_id and record.
        annotations: A column for each attribute of ``Annotation``.
        categories: Category id to name.
        digest: Sha256 over both files.
    """

    refs: pa.Table
    images: pa.Table
    annotations: pa.Table
    categories: Mapping[int, str]
    digest: str

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, sorted."""
        return tuple(sorted(pc.unique(self.refs["split"]).to_pylist()))

    def refs_of(self, belongs: Callable[[str], bool]) -> list[Ref]:
        """References whose split passes a test."""
        wanted = texts([name.encode() for name in self.splits if belongs(name)])
        return [
            Ref(
                number,
                tuple(objects),
                image,
                tuple(kinds),
                split,
                tuple(Sentence(*s) for s in said),
            )
            for number, objects, image, kinds, split, said in orjson.loads(
                _records(self.refs, "split", wanted)
            )
        ]

    def instances_of(self, image_ids: Collection[int]) -> Instances:
        """Images, and every object on them."""
        wanted = whole_numbers(sorted(image_ids))
        records = orjson.loads(_records(self.images, "image_id", wanted))
        images = [ImageRecord(*found) for found in records]
        columns = _rows(self.annotations, "image_id", wanted).to_pydict().values()
        objects = [Annotation(*found) for found in zip(*columns, strict=True)]
        return Instances(
            {image.image_id: image for image in images},
            {found.ann_id: found for found in objects},
            self.categories,
        )


@contextmanager
def without_collection() -> Iterator[None]:
    """No search for cycles meanwhile: it would walk again and again through millions of values."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_tables(table: Path) -> Tables:
    """Read and check a table of references and the `instances.json` beside it.

    Raises:
        FileNotFoundError: If one of them is missing.
        RefDataError: If their content is wrong, or they do not belong together.
        UnsafePickleError: If a pickle holds anything but plain data.
    """
    return _read(table, _stamp(table), _stamp(table.parent / "instances.json"))


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change, so that a changed file is read again."""
    if not path.is_file():
        raise FileNotFoundError(f"missing {path}")
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=2)
def _read(table: Path, *_stamps: tuple[int, int]) -> Tables:
    beside = table.parent / "instances.json"
    contents = table.read_bytes(), beside.read_bytes()
    hashed = [hashlib.sha256(content).digest() for content in contents]
    digest = hashlib.sha256(b"".join(hashed)).hexdigest()
    kept = cache_folder() / "tables" / f"{digest[:32]}-{_code()[:16]}"
    known = _kept(kept, digest)
    if known is not None:
        return known
    refs, instances = read_refs(contents[0], table), read_instances(contents[1], beside)
    check_belongs(refs, instances, table)
    made = _made(refs, instances, digest)
    if sum(map(len, contents)) >= WORTH_KEEPING:
        with suppress(OSError):  # without a cache folder both files are read each time
            _keep(made, kept)
    return made


def _made(refs: Collection[Ref], instances: InstanceTables, digest: str) -> Tables:
    images = instances.images
    return Tables(
        _table("split", texts([ref.split.encode() for ref in refs]), refs),
        _table("image_id", whole_numbers(list(images)), map(_values, images.values())),
        instances.annotations,
        instances.categories,
        digest,
    )


def _table(name: str, keys: pa.Array, records: Iterable[tuple[object, ...]]) -> pa.Table:
    """Keys beside records as JSON text; a named tuple becomes a list."""
    written = [orjson.dumps(tuple(record), default=tuple) for record in records]
    return pa.table({name: keys, "record": texts(written)})


def _values(record: ImageRecord) -> tuple[object, ...]:
    return record.image_id, record.file_name, record.height, record.width


def _records(table: pa.Table, key: str, wanted: pa.Array) -> str:
    """Records whose key is wanted, as one JSON list."""
    return f"[{','.join(_rows(table, key, wanted)['record'].to_pylist())}]"


def _rows(table: pa.Table, key: str, wanted: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table[key], value_set=wanted))


def _keep(made: Tables, folder: Path) -> None:
    def fill(place: Path) -> None:
        for name, table in zip(_PARTS, made[:3], strict=True):
            # Not compressed: that takes longer than all else that is done to keep them.
            with pa.ipc.new_file(str(place / f"{name}.arrow"), table.schema) as file:
                file.write_table(table)
        notes = {"digest": made.digest, "categories": list(made.categories.items())}
        notes |= {"parts": [_sha256((place / f"{name}.arrow").read_bytes()) for name in _PARTS]}
        (place / NOTES).write_text(json.dumps(notes))

    atomic_folder(folder, fill)


def _kept(folder: Path, digest: str) -> Tables | None:
    """What was kept of these contents; None if nothing was, or it is damaged."""
    if not folder.exists():
        return None
    try:
        notes = json.loads((folder / NOTES).read_bytes())
        parts = [(folder / f"{name}.arrow").read_bytes() for name in _PARTS]
        if notes["digest"] != digest or notes["parts"] != list(map(_sha256, parts)):
            raise ValueError("its content is not what was kept")
        refs, images, annotations = (pa.ipc.open_file(part).read_all() for part in parts)
        categories = dict(notes["categories"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        logger.warning("%s is damaged (%s); the tables are read again", folder, error)
        with suppress(OSError):  # a cache that cannot be changed stops nothing
            set_aside(folder)
        return None
    return Tables(refs, images, annotations, categories, digest)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@cache
def _code() -> str:
    """Sha256 over the code that reads and checks, and the versions of libraries that help it."""
    folder = Path(__file__).parent
    digest = hashlib.sha256(f"{orjson.__version__} {pa.__version__}".encode())
    for file in sorted([*folder.glob("*.py"), *folder.glob("safe/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()
