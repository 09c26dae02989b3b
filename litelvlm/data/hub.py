"""RefCOCO as the hub distributes it: Parquet, one row of image, outline and answers per reference.

The rows are rewritten once into the REFER layout below the cache folder and then read like any
other dataset, so one reader and one set of checks serve both. What the rows do not state is left
out: categories (an expression has none, an object has ``UNKNOWN_CATEGORY``), and objects that no
reference means. Images keep COCO's number where a file name has one. Other ids are running numbers.
"""

import hashlib
import json
import logging
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath

import pyarrow as pa
from tqdm.auto import tqdm

from litelvlm.data.annotations import RefDataError
from litelvlm.data.cache import kept_folder
from litelvlm.data.hub_tables import HubTables
from litelvlm.data.layout import FOLDER, REF_FAMILIES
from litelvlm.data.safe.hub_copies import snapshot
from litelvlm.data.safe.parquet import open_parquet, read_rows
from litelvlm.hub_ids import is_hub_id
from litelvlm.names import check_name

logger = logging.getLogger(__name__)
COLUMNS = ("image", "segmentation", "answer")
_OPTIONAL = ("file_name", "bbox", "iscrowd")
_GUESSES = (
    ("refcoco+", "refcoco+"),
    ("refcocoplus", "refcoco+"),
    ("refcocog", "refcocog"),
    ("refcoco", "refcoco"),
)
_FORM = 4  # of what is written: another form makes another folder


def is_parquet_source(root: str | Path) -> bool:
    """Whether a name is a folder of Parquet files, or a hub id "owner/name" of RefCOCO."""
    path = Path(root).expanduser()
    if path.is_dir():
        return any(True for _ in parquet_files(path))
    return is_hub_id(root) and any(part in path.name.lower() for part, _ in _GUESSES)


def parquet_files(folder: Path) -> Iterator[Path]:
    """Parquet files of a folder, directly in it or in its `data` folder."""
    yield from sorted([*folder.glob("*.parquet"), *folder.glob("data/*.parquet")])


def hub_root(
    root: str | Path, dataset: str | None, split: str, split_by: str | None = None
) -> tuple[Path, str]:
    """Make the REFER layout of one split, on first use.

    Args:
        root: Folder with Parquet files, or hub id of a dataset (fetched on first use, the split's
            files only).
        dataset: "refcoco", "refcoco+" or "refcocog"; None takes what the folder's name says.
        split: Split; a file belongs to it if its name begins with it.
        split_by: Author of the split; the usual one by default.

    Returns:
        The `Refer_Segm` folder and the dataset's name.

    Raises:
        ValueError: If a name is unknown, or a row lacks something.
        FileNotFoundError: If there is no such split, or it can be neither found nor fetched.
        ConnectionError: If the hub cannot be reached or is none.
    """
    dataset = check_name(dataset, REF_FAMILIES, "dataset") if dataset else guess(root)
    author = split_by or next(iter(REF_FAMILIES[dataset].splits))
    check_name(author, REF_FAMILIES[dataset].splits, "split_by")
    check_name(split, REF_FAMILIES[dataset].splits[author], f"split of {dataset} ({author})")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        if not is_hub_id(root):
            raise FileNotFoundError(
                f"there is no folder {root}; give one of Parquet files, or a hub id owner/name"
            )
        folder = _fetched(str(root), split)
    files = [path for path in parquet_files(folder) if split_of(path) == split]
    if not files:
        splits = sorted({split_of(path) for path in parquet_files(folder)})
        there = ", ".join(splits) or "no Parquet file"
        raise FileNotFoundError(f"{root} has no Parquet file of split {split!r}; it holds {there}")
    made = kept_folder(
        f"{dataset}-{split}-{_stamp(files)}",
        lambda place: _write(files, place / FOLDER, dataset, author, split),
    )
    return made / FOLDER, dataset


def guess(root: str | Path) -> str:
    """The dataset that the name of a folder or of a hub id contains.

    Raises:
        ValueError: If it contains none.

    Example:
        >>> guess("someone/RefCOCOplus"), guess("data/RefCOCOg")
        ('refcoco+', 'refcocog')
    """
    name = Path(root).name.lower()
    for part, dataset in _GUESSES:
        if part in name:
            return dataset
    raise ValueError(
        f"the name {root} does not say which dataset it is; pass dataset= one of "
        f"{list(REF_FAMILIES)}"
    )


def split_of(path: PurePath) -> str:
    """The split that the name of a Parquet file begins with.

    Example:
        >>> split_of(PurePath("data/validation-00000-of-00001.parquet"))
        'val'
    """
    start = path.name.split("-")[0].removesuffix(".parquet")
    return "val" if start == "validation" else start


def _fetched(name: str, split: str) -> Path:
    starts = ("val", "validation") if split == "val" else (split,)
    return snapshot(name, "dataset", [f"*{start}-*.parquet" for start in starts])


def _stamp(files: Iterable[Path]) -> str:
    """Digest of the files' names, sizes and times: another download makes another folder."""
    found = [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
    return hashlib.sha256(json.dumps([_FORM, found]).encode()).hexdigest()[:16]


def _write(files: Sequence[Path], base: Path, dataset: str, author: str, split: str) -> None:
    """Write tables and pictures of one split."""
    images = base / REF_FAMILIES[dataset].images
    images.mkdir(parents=True)
    (base / dataset).mkdir()
    tables = HubTables(images, split, sum(path.stat().st_size for path in files))
    for path in files:
        for number, row in enumerate(
            tqdm(_rows(path), desc=f"{dataset} {split}, {path.name}", unit="reference")
        ):
            try:
                tables.add(row)
            except (KeyError, TypeError, ValueError) as error:  # RefDataError is a ValueError
                raise RefDataError(f"{path}, row {number}: {error}") from error
    (base / dataset / REF_FAMILIES[dataset].tables[author][0]).write_bytes(
        pickle.dumps(tables.refs, protocol=2)
    )
    (base / dataset / "instances.json").write_text(json.dumps(tables.instances()), encoding="utf-8")
    logger.info(
        "%d references of %d images written to %s",
        len(tables.refs),
        len(tables.images),
        os.fspath(base),
    )


def _rows(path: Path) -> Iterator[Mapping[str, object]]:
    """Rows of one file, some at a time.

    Raises:
        RefDataError: If the file is no Parquet file, lacks a column, is damaged, or would take more
            memory than is allowed.
    """
    try:
        table = open_parquet(path)
        names = table.schema_arrow.names
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            raise RefDataError(
                f"lacks the columns {', '.join(missing)}; it has {', '.join(names)[:200]}"
            )
        yield from read_rows(table, [name for name in (*COLUMNS, *_OPTIONAL) if name in names])
    except RefDataError as error:
        raise RefDataError(f"{path} {error}") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RefDataError(
            f"{path} is not a readable Parquet file ({_first_line(error)}); fetch it again"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
