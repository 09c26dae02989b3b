"""Names of the RefCOCO family: datasets, files, splits and their known sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

FOLDER = "Refer_Segm"
INSTANCES = "instances.json"
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
