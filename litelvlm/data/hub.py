"""Parquet data sets: RefCOCO as the hub distributes it, RefCOCO-M, and data of a user's own.

A row is one reference, or one picture with a list of objects (``litelvlm.data.sources.rows``). The
rows are rewritten once into the REFER layout below the cache folder and then read like any other
data set, so one reader and one set of checks serve both. What the rows do not state is left out:
categories (an expression has none, an object has ``UNKNOWN_CATEGORY``), and objects that no
reference means. Images keep COCO's number where a file name has one. Ids that the rows do not state
are running numbers.
"""

import hashlib
import json
import logging
import os
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from litelvlm.data.annotations import RefDataError
from litelvlm.data.cache import kept_folder
from litelvlm.data.hub_tables import HubTables
from litelvlm.data.layout import FOLDER, INSTANCES, REF_FAMILIES
from litelvlm.data.safe.hub_copies import snapshot
from litelvlm.data.safe.parquet import open_parquet, read_rows
from litelvlm.data.safe.shown import first_line
from litelvlm.data.sources.copies import refuse_copies
from litelvlm.data.sources.places import OWN, OWN_TABLE
from litelvlm.data.sources.rows import Layout, layout_of
from litelvlm.hub_ids import is_hub_id
from litelvlm.names import check_name

logger = logging.getLogger(__name__)
_SPELLINGS = {"refcoco": "refcoco", "refcocoplus": "refcoco+", "refcocog": "refcocog"}
SPLITS = ("train", "val", "validation", "test", "testA", "testB")
"""Names of splits that may stand anywhere in a file's name, or as the name of its folder."""
_FORM = 7  # of what is written: another form makes another folder


def is_parquet_source(root: str | Path) -> bool:
    """Whether a name is a Parquet file, a folder of them, or a hub id "owner/name"."""
    path = Path(root).expanduser()
    return is_hub_id(root) if not path.exists() else any(True for _ in parquet_files(path))


def parquet_files(place: Path) -> Iterator[Path]:
    """The file itself, or those of a folder: directly in it, in `data`, or in folders of splits."""
    if place.is_file():
        yield from [place] if place.suffix == ".parquet" else []
        return
    for folder in (place, *(place / name for name in ("data", *SPLITS))):
        yield from sorted(folder.glob("*.parquet"))


def hub_root(
    root: str | Path, dataset: str | None, split: str, split_by: str | None = None
) -> tuple[Path, str]:
    """Make the REFER layout of one split, on first use.

    Args:
        root: A Parquet file, a folder of them, or the hub id of a data set (fetched on first use,
            the split's files only).
        dataset: Name of the data set; None takes that of the folder.
        split: Split; a file belongs to it as ``split_of`` says.
        split_by: Author of the split; the usual one by default.

    Returns:
        The `Refer_Segm` folder and the data set's name.

    Raises:
        ValueError: If a name is unknown, a row lacks something, or two files may be copies.
        FileNotFoundError: If there is no such split, or it can be neither found nor fetched.
        ConnectionError: If the hub cannot be reached or is none.
    """
    dataset = dataset or usual_name(root)
    if dataset in REF_FAMILIES:
        splits = REF_FAMILIES[dataset].splits
        author = check_name(split_by or next(iter(splits)), splits, "split_by")
        check_name(split, splits[author], f"split of {dataset} ({author})")
        table, pictures = REF_FAMILIES[dataset].tables[author][0], REF_FAMILIES[dataset].images
    else:
        check_name(split_by or OWN, (OWN,), "split_by")
        if Path(dataset).name != dataset or dataset.startswith("."):
            raise ValueError(f"dataset {dataset!r} cannot name a folder; use letters and digits")
        table, pictures = OWN_TABLE, f"{dataset}/images"
    folder = Path(root).expanduser()
    if not folder.exists():
        if not is_hub_id(root):
            raise FileNotFoundError(
                f"there is no folder {root}; give one of Parquet files, or a hub id owner/name"
            )
        folder = _fetched(str(root), split)
    files = [path for path in parquet_files(folder) if split_of(path) == split]
    if not files:
        splits_there = sorted({split_of(path) for path in parquet_files(folder)})
        there = ", ".join(splits_there) or "no Parquet file"
        raise FileNotFoundError(f"{root} has no Parquet file of split {split!r}; it holds {there}")
    refuse_copies(files)
    made = kept_folder(
        f"{dataset}-{split}-{_stamp(files)}",
        lambda place: _write(files, place / FOLDER, f"{dataset}/{table}", pictures, split),
    )
    return made / FOLDER, dataset


def usual_name(root: str | Path) -> str:
    """The data set's name: that of its folder or hub id; copies of RefCOCO get the published one.

    Example:
        >>> usual_name("someone/RefCOCO_plus"), usual_name("someone/refcoco-m"), usual_name("a/my")
        ('refcoco+', 'refcoco-m', 'my')
    """
    path = Path(os.path.abspath(Path(root).expanduser()))
    if path.suffix == ".parquet":
        path = path.parent
    if path.name in ("data", *SPLITS):
        path = path.parent
    plain = re.sub(r"[_-](?=plus|g$)", "", path.name.lower())
    return _SPELLINGS.get(plain, plain if plain in REF_FAMILIES else path.name)


def split_of(path: PurePath) -> str:
    """The split that a Parquet file belongs to.

    It is a usual name among the words of the file's name, else the name of its folder if that is
    one, else the first word. "validation" is "val".

    Example:
        >>> split_of(PurePath("data/validation-00000-of-00001.parquet"))
        'val'
        >>> split_of(PurePath("test/0000.parquet")), split_of(PurePath("night_2.parquet"))
        ('test', 'night')
    """
    words = re.split(r"[-_.]", path.name.removesuffix(".parquet"))
    found = [word for word in (*words, path.parent.name) if word in SPLITS]
    split = next(iter(found), words[0])
    return "val" if split == "validation" else split


def _fetched(name: str, split: str) -> Path:
    starts = ("val", "validation") if split == "val" else (split,)
    return snapshot(name, "dataset", [f"*{start}[-_./]*" for start in starts])


def _stamp(files: Iterable[Path]) -> str:
    """Digest of the files' names, sizes and times: another download makes another folder."""
    found = [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
    return hashlib.sha256(json.dumps([_FORM, found]).encode()).hexdigest()[:16]


def _write(files: Sequence[Path], base: Path, table: str, pictures: str, split: str) -> None:
    """Write tables and pictures of one split.

    Args:
        files: Its Parquet files.
        base: The `Refer_Segm` folder.
        table: Table of references below it.
        pictures: Folder of the pictures below it.
        split: Name of the split.
    """
    beside = (base / table).parent
    (base / pictures).mkdir(parents=True)
    beside.mkdir(exist_ok=True)
    tables = HubTables(base / pictures, split, sum(path.stat().st_size for path in files))
    for path in files:
        layout, rows = _opened(path)
        for number, row in enumerate(tqdm(rows, desc=f"{split}, {path.name}", unit="row")):
            try:
                tables.add(layout.read(row))
            except (KeyError, TypeError, ValueError) as error:  # RefDataError is a ValueError
                raise RefDataError(f"{path}, row {number}: {error}") from error
    refs = tables.refs
    if not refs:
        where = " and ".join(map(str, files))
        raise RefDataError(f"no row of {where} holds an object; write rows with samples in them")
    content = json.dumps(refs).encode() if table.endswith(".json") else pickle.dumps(refs, 2)
    (base / table).write_bytes(content)
    (beside / INSTANCES).write_text(json.dumps(tables.instances()), encoding="utf-8")
    logger.info(
        "%d references of %d images written to %s",
        len(refs),
        len(tables.images),
        os.fspath(base),
    )


def _opened(path: Path) -> tuple[Layout, Iterator[Mapping[str, object]]]:
    """The layout of a file, and its rows, some at a time.

    Raises:
        RefDataError: If the file is no Parquet file, lacks a column, is damaged, or would take more
            memory than is allowed; the rows raise it too.
    """
    with _explained(path):
        file = open_parquet(path)
        names = file.schema_arrow.names
        layout = layout_of(names)
    columns = [name for name in (*layout.needs, *layout.takes) if name in names]
    return layout, _rows(file, columns, path)


def _rows(
    file: pq.ParquetFile, columns: Sequence[str], path: Path
) -> Iterator[Mapping[str, object]]:
    with _explained(path):
        yield from read_rows(file, columns)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong inside."""
    try:
        yield
    except RefDataError as error:
        raise RefDataError(f"{path} {error}") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RefDataError(
            f"{path} is not a readable Parquet file ({first_line(error)}); fetch it again"
        ) from error
