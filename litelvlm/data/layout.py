"""Names of the RefCOCO family: datasets, files, splits and their known sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from litelvlm.names import check_name

FOLDER = "Refer_Segm"
_AB = ("train", "val", "testA", "testB")


class SplitSize(NamedTuple):
    """Size of a split; None where no number is known."""

    expressions: int | None
    refs: int | None
    images: int | None


@dataclass(frozen=True)
class RefFamily:
    """One dataset of the family.

    Attributes:
        tables: File names of the table of references per split author, in order of preference.
        splits: Split names per split author; the first author is the default.
        exact: Whether split strings must be equal (gRefCOCO) rather than match by letter.
        images: Folder of the images below `Refer_Segm`.
        pictures: What to unpack there, for messages.
    """

    tables: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, tuple[str, ...]]
    exact: bool = False
    images: str = "coco_2014/train2014"
    pictures: str = "the COCO 2014 training images"


REF_FAMILIES: Mapping[str, RefFamily] = MappingProxyType(
    {
        "refcoco": RefFamily({"unc": ("refs(unc).p",)}, {"unc": _AB}),
        "refcoco+": RefFamily({"unc": ("refs(unc).p",)}, {"unc": _AB}),
        "refcocog": RefFamily(
            {"umd": ("refs(umd).p",), "google": ("refs(google).p",)},
            {"umd": ("train", "val", "test"), "google": ("train", "val")},
        ),
        "refclef": RefFamily(
            {"unc": ("refs(unc).p",)},
            {"unc": (*_AB, "testC")},
            images="images/saiapr_tc-12",
            pictures="the SAIAPR TC-12 images (segmented ImageCLEF)",
        ),
        "grefcoco": RefFamily(
            {"unc": ("grefs(unc).p", "grefs(unc).json")}, {"unc": _AB}, exact=True
        ),
    }
)

KNOWN_COUNTS: Mapping[tuple[str, str, str], SplitSize] = MappingProxyType(
    {
        ("refcoco", "unc", "train"): SplitSize(120624, 42404, 16994),
        ("refcoco", "unc", "val"): SplitSize(10834, 3811, 1500),
        ("refcoco", "unc", "testA"): SplitSize(5657, 1975, 750),
        ("refcoco", "unc", "testB"): SplitSize(5095, 1810, 750),
        ("refcoco+", "unc", "train"): SplitSize(120191, 42278, 16992),
        ("refcoco+", "unc", "val"): SplitSize(10758, 3805, 1500),
        ("refcoco+", "unc", "testA"): SplitSize(5726, 1975, 750),
        ("refcoco+", "unc", "testB"): SplitSize(4889, 1798, 750),
        ("refcocog", "umd", "train"): SplitSize(80512, 42226, 21899),
        ("refcocog", "umd", "val"): SplitSize(4896, 2573, 1300),
        ("refcocog", "umd", "test"): SplitSize(9602, 5023, 2600),
        ("grefcoco", "unc", "train"): SplitSize(None, None, 16994),
        ("grefcoco", "unc", "val"): SplitSize(None, None, 1500),
        ("grefcoco", "unc", "testA"): SplitSize(None, None, 750),
        ("grefcoco", "unc", "testB"): SplitSize(None, None, 750),
    }
)
"""Sizes of the published files as the literature gives them.

RefCLEF and the google split of RefCOCOg are not in the table, and of gRefCOCO it has the images
only: what is not here is reported as unknown, not as right.
"""


def split_test(split: str, exact: bool) -> Callable[[str], bool]:
    """Whether a record's split string belongs to a split, by the official rule.

    `testA`, `testB` and `testC` take every string containing that letter, `test` every string
    containing "test"; train and val, and every split of gRefCOCO, must be equal.

    Example:
        >>> split_test("testA", exact=False)("testAB"), split_test("val", exact=False)("valid")
        (True, False)
    """
    if not exact and split in ("testA", "testB", "testC"):
        return lambda text: split[-1] in text
    if not exact and split == "test":
        return lambda text: "test" in text
    return lambda text: text == split


def find_root(path: str | Path) -> Path:
    """The `Refer_Segm` folder, given itself or the folder that contains it.

    Raises:
        FileNotFoundError: If neither is there.
    """
    root = Path(path).expanduser()
    if (root / FOLDER).is_dir():
        return root / FOLDER
    if root.is_dir() and (
        root.name == FOLDER or any((root / name).is_dir() for name in REF_FAMILIES)
    ):
        return root
    raise FileNotFoundError(
        f"no REFER data at {root}: expected a folder {FOLDER} with one of "
        f'{", ".join(REF_FAMILIES)} in it; give its path, "embedded" or "embedded-shapes" for '
        "rendered scenes, or a hub id such as lmms-lab/RefCOCO (a local folder called lmms-lab "
        "would be taken for a path)"
    )


def choose(
    root: Path, dataset: str | None, split: str, split_by: str | None, called: str | None = None
) -> tuple[str, str, Path]:
    """Check the names against the tables and find the table of references.

    Args:
        root: The `Refer_Segm` folder.
        dataset: Name of a dataset of the family; None where the folder holds one only.
        split: Name of the split.
        split_by: Author of the split; None for the usual one.
        called: What users call the dataset, for messages; None for its name.

    Returns:
        Dataset, split author and the path of the table.

    Raises:
        ValueError: If a name is unknown, or the dataset is not named and the root holds none or
            several.
        FileNotFoundError: If the dataset's files are missing.
    """
    present = [name for name in REF_FAMILIES if (root / name).is_dir()]
    if dataset is None:
        if len(present) != 1:
            raise ValueError(
                f"{root} holds {', '.join(present) or 'no dataset'}; "
                f"pass dataset= one of {list(REF_FAMILIES)}"
            )
        dataset = present[0]
    family = REF_FAMILIES[check_name(dataset, REF_FAMILIES, "dataset")]
    author = check_name(
        next(iter(family.splits)) if split_by is None else split_by, family.splits, "split_by"
    )
    title = f"{dataset} ({author})" if called is None else called
    check_name(split, family.splits[author], f"split of {title}")
    for name in family.tables[author]:
        if (root / dataset / name).is_file():
            return dataset, author, root / dataset / name
    wanted = " or ".join(str(root / dataset / name) for name in family.tables[author])
    raise FileNotFoundError(f"missing {wanted}; datasets present: {', '.join(present) or 'none'}")
