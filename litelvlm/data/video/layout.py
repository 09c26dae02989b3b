"""Where the files of a data set of clips lie, in the layouts that are handed around."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from litelvlm.data.embedded import CLIPS_OF_SPLIT, EMBEDDED_CLIPS, MOVING
from litelvlm.names import check_name


@dataclass(frozen=True)
class ClipFamily:
    """One published data set, or the embedded one, which has MeViS's layout.

    Attributes:
        parts: What folders that hold it are called, in part; letter case aside.
        clips: Published number of clips by split; 0 where the data keep the masks to themselves.
    """

    parts: tuple[str, ...]
    clips: Mapping[str, int]


CLIP_FAMILIES: Mapping[str, ClipFamily] = MappingProxyType(
    {
        "ref-davis17": ClipFamily(("davis",), {"train": 60, "valid": 30}),
        "mevis": ClipFamily(("mevis",), {"train": 1662, "valid_u": 50, "valid": 0}),
        "ref-youtube-vos": ClipFamily(
            ("youtube", "ytvos", "yt-vos", "ytbvos", "rvos"), {"train": 3471, "valid": 0, "test": 0}
        ),
        "revos": ClipFamily(("revos",), {"train": 626, "valid": 416}),
        "embedded-moving": ClipFamily((MOVING.name,), CLIPS_OF_SPLIT),
    }
)
"""Data sets by name."""
EXPRESSIONS = (
    "{split}/meta_expressions.json",
    "meta_expressions/{split}/meta_expressions.json",
    "meta_expressions_{split}_.json",
)
"""Tables of expressions below the folder of a data set."""
FRAMES = ("{split}/JPEGImages", "JPEGImages", "JPEGImages/480p", "DAVIS/JPEGImages/480p", ".")
"""Folders of frames: in each a folder per clip."""
MASKS = (
    "{split}/mask_dict.json",
    "{split}/mask_dict.pkl",
    "mask_dict.json",
    "mask_dict.pkl",
    "{split}/Annotations",
    "Annotations",
    "Annotations/480p",
)
"""Tables of run lengths, or folders of label maps: in each a folder per clip."""


@dataclass(frozen=True)
class ClipFiles:
    """Files of one split.

    Attributes:
        name: Of the data set.
        expressions: Table of clips and expressions.
        frames: Folder that holds a folder of frames per clip, or is to.
        masks: Table of run lengths, or folder of label maps per clip; None if there is neither.
    """

    name: str
    expressions: Path
    frames: Path
    masks: Path | None


def holds_clips(root: str | Path, dataset: str | None) -> bool:
    """Whether a name of a data set, or else what a folder holds, says that it is one of clips."""
    if dataset is not None or str(root) in EMBEDDED_CLIPS:
        return (dataset or str(root)) in CLIP_FAMILIES
    folder = Path(root).expanduser()
    splits = {split for family in CLIP_FAMILIES.values() for split in family.clips}
    return any(_table(place, split) for place in _places(folder) for split in splits)


def find_clips(root: str | Path, dataset: str | None, split: str) -> ClipFiles:
    """Find the files of one split.

    Args:
        root: Folder of the data set, or one up to two levels above it; or the name of an embedded
            one, which is made on first use.
        dataset: A name of ``CLIP_FAMILIES``; None takes what the folder's name says.
        split: Name of the split.

    Raises:
        ValueError: If a name is unknown, or the folder holds several data sets and none is named.
        FileNotFoundError: If there is no table of expressions of that split.
    """
    bundled = EMBEDDED_CLIPS.get(str(root))
    if bundled is not None and dataset not in (None, str(root)):
        raise ValueError(
            f'dataset={dataset!r} needs root= the folder that holds it; root is "{root}"'
        )
    dataset = dataset if bundled is None else str(root)
    if dataset is not None:
        family = CLIP_FAMILIES[check_name(dataset, CLIP_FAMILIES, "dataset")]
        check_name(split, family.clips, f"split of {dataset}")
    folder = Path(root).expanduser() if bundled is None else bundled.root()
    found = {place: table for place in _places(folder) if (table := _table(place, split))}
    if dataset is not None and len(found) > 1:
        found = {place: table for place, table in found.items() if name_of(place) == dataset}
    if not found:
        tables = " or ".join(pattern.format(split=split) for pattern in EXPRESSIONS)
        raise FileNotFoundError(
            f"{folder} holds no expressions of split {split!r} of {dataset or 'clips'}: expected "
            f"{tables} in it or up to two folders below; give the folder of the data set, its "
            "archives unpacked"
        )
    if len(found) > 1:
        raise ValueError(
            f"{folder} holds {', '.join(map(str, found))}; pass dataset= one of "
            f"{', '.join(CLIP_FAMILIES)}, or the folder of one"
        )
    ((place, table),) = found.items()
    name = dataset or name_of(place)
    if name is None:
        raise ValueError(
            f"the name {place} does not say which data set it is; pass dataset= one of "
            f"{', '.join(CLIP_FAMILIES)}"
        )
    check_name(split, CLIP_FAMILIES[name].clips, f"split of {name}")
    frames = _first(place, FRAMES, split) or place / "JPEGImages"
    return ClipFiles(name, table, frames, _first(place, MASKS, split))


def name_of(folder: Path) -> str | None:
    """The data set that the name of a folder, or that of the one above it, contains.

    Example:
        >>> name_of(Path("data/ref-davis/2017")), name_of(Path("MeViS_release")), name_of(Path("x"))
        ('ref-davis17', 'mevis', None)
    """
    for name in (folder.name.lower(), folder.parent.name.lower()):
        for dataset in ("revos", "mevis", "ref-davis17", "embedded-moving", "ref-youtube-vos"):
            if any(part in name for part in CLIP_FAMILIES[dataset].parts):
                return dataset
    return None


def _places(folder: Path, depth: int = 2) -> Iterator[Path]:
    """A folder and those up to two levels below it that may be a data set's."""
    yield folder
    if depth and folder.is_dir():
        for below in sorted(path for path in folder.iterdir() if path.is_dir()):
            if below.name not in ("JPEGImages", "Annotations", "meta_expressions"):
                yield from _places(below, depth - 1)


def _table(place: Path, split: str) -> Path | None:
    return _first(place, EXPRESSIONS, split)


def _first(place: Path, patterns: tuple[str, ...], split: str) -> Path | None:
    found = (place / pattern.format(split=split) for pattern in patterns)
    return next((path for path in found if path.exists()), None)
