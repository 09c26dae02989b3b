"""Where the tables and pictures of a data set lie: a published one, or one of a user's own."""

import os
import re
from pathlib import Path

from litelvlm.data.layout import FOLDER, INSTANCES, REF_FAMILIES, RefFamily
from litelvlm.names import check_name

OWN = "own"
"""Author of the splits of a table whose file name states none."""
OWN_TABLE = "refs.json"
_TABLE = re.compile(r"g?refs(?:\(([\w-]+)\))?\.(?:p|json)", re.ASCII)


def find_root(path: str | Path, dataset: str | None = None) -> tuple[Path, str | None]:
    """The `Refer_Segm` folder and the data set meant.

    Args:
        path: That folder, the one that contains it, or the folder of one data set, which holds an
            `instances.json`.
        dataset: As the user names it; None where there is one only.

    Raises:
        FileNotFoundError: If it is none of these.
        ValueError: If the folder of one data set is given with the name of another.
    """
    root = Path(path).expanduser()
    if (root / INSTANCES).is_file():
        root = Path(os.path.abspath(root))  # "." has no name
        if dataset not in (None, root.name):
            raise ValueError(
                f"{root} is the folder of the data set {root.name!r}; leave dataset= out, or "
                f"rename the folder to {dataset!r}"
            )
        return root.parent, root.name
    if (root / FOLDER).is_dir():
        return root / FOLDER, dataset
    if root.is_dir() and (root.name == FOLDER or data_sets(root)):
        return root, dataset
    raise FileNotFoundError(
        f"no REFER data at {root}: expected a folder {FOLDER} with one of "
        f"{', '.join(REF_FAMILIES)} in it, or a folder of your own with {INSTANCES} and "
        f'{OWN_TABLE}; give its path, "embedded" or "embedded-shapes" for '
        "rendered scenes, or a hub id such as lmms-lab/RefCOCO (a local folder called lmms-lab "
        "would be taken for a path)"
    )


def data_sets(root: Path) -> list[str]:
    """Names of the data sets below a `Refer_Segm` folder, the published ones first."""
    own = sorted(path.parent.name for path in root.glob(f"*/{INSTANCES}"))
    published = [name for name in REF_FAMILIES if (root / name).is_dir()]
    return [*published, *(name for name in own if name not in REF_FAMILIES)]


def family_of(root: Path, dataset: str) -> RefFamily:
    """The files and splits of a data set.

    One of a published name has the published ones. Any other has the tables that lie in its folder
    and the splits that these name; its pictures lie in its folder `images`, else with COCO's.
    """
    if dataset in REF_FAMILIES:
        return REF_FAMILIES[dataset]
    tables: dict[str, tuple[str, ...]] = {}
    for path in sorted((root / dataset).iterdir()):
        found = _TABLE.fullmatch(path.name)
        if found:
            author = found.group(1) or OWN
            tables[author] = (*tables.get(author, ()), path.name)
    images = f"{dataset}/images"
    if not (root / images).is_dir():
        images = RefFamily.images
    return RefFamily(tables, {}, exact=True, images=images, pictures="the pictures it names")


def picture_folder(root: Path, family: RefFamily) -> Path:
    """The folder of the pictures: below `Refer_Segm`, or beside it as in GLaMM's guide."""
    below, beside = root / family.images, root.parent / family.images
    return beside if beside.is_dir() and not below.is_dir() else below


def choose(
    root: Path, dataset: str | None, split: str, split_by: str | None, called: str | None = None
) -> tuple[str, str, Path]:
    """Check the names against the tables and find the table of references.

    Args:
        root: The `Refer_Segm` folder.
        dataset: Name of a data set there; None where the folder holds one only.
        split: Name of the split.
        split_by: Author of the split; None for the usual one.
        called: What users call the data set, for messages; None for its name.

    Returns:
        Data set, split author and the path of the table.

    Raises:
        ValueError: If a name is unknown, several would fit, or there is none.
        FileNotFoundError: If the data set's files are missing.
    """
    present = data_sets(root)
    if dataset is None:
        if len(present) != 1:
            raise ValueError(
                f"{root} holds {', '.join(present) or 'no dataset'}; "
                f"pass dataset= one of {present or list(REF_FAMILIES)}"
            )
        dataset = present[0]
    family = family_of(root, check_name(dataset, {*REF_FAMILIES, *present}, "dataset"))
    folder, published = root / dataset, dataset in REF_FAMILIES
    if not family.tables:
        raise FileNotFoundError(f"missing {folder / OWN_TABLE}, the table of references")
    if split_by is None and not published and len(family.tables) > 1:
        raise ValueError(
            f"{folder} holds tables of {', '.join(family.tables)}; pass split_by= one of them"
        )
    usual = next(iter(family.tables))
    author = check_name(usual if split_by is None else split_by, family.tables, "split_by")
    title = f"{dataset} ({author})" if called is None else called
    check_name(split, family.splits.get(author, (split,)), f"split of {title}")
    tables = [folder / name for name in family.tables[author]]
    there = [path for path in tables if path.is_file()]
    if not there:
        wanted = " or ".join(map(str, tables))
        raise FileNotFoundError(
            f"missing {wanted}; datasets present: {', '.join(present) or 'none'}"
        )
    if len(there) > 1 and not published:
        raise ValueError(
            f"{folder} holds {' and '.join(path.name for path in there)}; keep one of them"
        )
    return dataset, author, there[0]
