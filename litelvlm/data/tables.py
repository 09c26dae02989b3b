"""Both tables of a data set: read and checked once, then kept in a form that opens fast.

Reading a stranger's pickle safely takes long. What came out of it is kept in the cache folder under
the content of both files and of the code that checked them.
"""

import gc
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import VERSION, TypeAdapter

from litelvlm.data.annotations import Annotation, ImageRecord, Instances, read_instances
from litelvlm.data.cache import cache_folder
from litelvlm.data.files import atomic_write, set_aside
from litelvlm.data.refs import Ref, check_belongs, read_refs

logger = logging.getLogger(__name__)

WORTH_KEEPING = 200_000
"""Bytes of both files together; smaller ones are read about as fast as what was kept of them."""
_REF, _REFS = TypeAdapter(Ref), TypeAdapter(list[Ref])
_IMAGE, _IMAGES = TypeAdapter(ImageRecord), TypeAdapter(list[ImageRecord])
_OBJECT, _OBJECTS = TypeAdapter(Annotation), TypeAdapter(list[Annotation])


class Tables(NamedTuple):
    """The references and the instances of a data set; rows stand in the order of the files.

    Attributes:
        records: Columns part ("refs", "images", "annotations" or "categories"), key (the split of a
            reference, the image's id otherwise) and record, as JSON text.
        digest: Sha256 over both files.
    """

    records: pa.Table
    digest: str

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, sorted."""
        refs = self.records.filter(pc.equal(self.records["part"], "refs"))
        return tuple(sorted(pc.unique(refs["key"]).to_pylist()))

    def refs_of(self, belongs: Callable[[str], bool]) -> list[Ref]:
        """References whose split passes a test."""
        return _REFS.validate_json(self._of("refs", filter(belongs, self.splits)))

    def instances_of(self, image_ids: Collection[int]) -> Instances:
        """Images, and every object on them."""
        keys = [str(number) for number in image_ids]
        images = _IMAGES.validate_json(self._of("images", keys))
        objects = _OBJECTS.validate_json(self._of("annotations", keys))
        return Instances(
            {image.id: image for image in images},
            {found.ann_id: found for found in objects},
            dict(json.loads(self._of("categories", [""]))),
        )

    def _of(self, part: str, keys: Iterable[str]) -> str:
        """Records of a part with one of these keys, as a JSON list."""
        wanted = pc.is_in(self.records["key"], value_set=pa.array(keys, pa.large_string()))
        rows = self.records.filter(pc.and_(wanted, pc.equal(self.records["part"], part)))
        return f"[{','.join(rows['record'].to_pylist())}]"


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
    file = cache_folder() / "tables" / f"{digest[:32]}-{_code()[:16]}.arrow"
    known = _kept(file)
    if known is not None:
        return Tables(known, digest)
    refs, instances = read_refs(contents[0], table), read_instances(contents[1], beside)
    check_belongs(refs, instances, table)
    made = _made(refs, instances)
    if sum(map(len, contents)) >= WORTH_KEEPING:
        with suppress(OSError):  # without a cache folder both files are read each time
            _keep(made, file)
    return Tables(made, digest)


def _made(refs: Collection[Ref], instances: Instances) -> pa.Table:
    images, objects = instances.images.values(), instances.annotations.values()
    rows = [("refs", ref.split, _REF.dump_json(ref)) for ref in refs]
    rows += [("images", str(image.id), _IMAGE.dump_json(image)) for image in images]
    rows += [("annotations", str(one.image_id), _OBJECT.dump_json(one)) for one in objects]
    rows += [("categories", "", json.dumps(pair).encode()) for pair in instances.categories.items()]
    kinds = dict.fromkeys(("part", "key", "record"), pa.large_string())
    return pa.table(list(zip(*rows, strict=True)) or [()] * 3, pa.schema(kinds))


def _keep(made: pa.Table, file: Path) -> None:
    """Write a table behind the sha256 of what follows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, made.schema) as stream:
        stream.write_table(made)
    content = sink.getvalue().to_pybytes()
    atomic_write(file, hashlib.sha256(content).digest() + content)


def _kept(file: Path) -> pa.Table | None:
    """What was kept of these contents; None if nothing was, or it is damaged."""
    if not file.exists():
        return None
    try:
        content = memoryview(file.read_bytes())
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise ValueError("its content is not what was kept")
        return pa.ipc.open_file(pa.py_buffer(content[32:])).read_all()
    except (OSError, ValueError, pa.ArrowException) as error:
        logger.warning("%s is damaged (%s); the tables are read again", file, error)
        with suppress(OSError):  # a cache that cannot be changed stops nothing
            set_aside(file)
        return None


@cache
def _code() -> str:
    """Sha256 over the code that reads and checks, and the versions of libraries that help it."""
    folder = Path(__file__).parent
    digest = hashlib.sha256(f"{VERSION} {pa.__version__}".encode())
    for file in sorted([*folder.glob("*.py"), *folder.glob("safe/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()
