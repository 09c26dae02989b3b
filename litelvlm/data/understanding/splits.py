"""Which of a folder's Parquet files belong to one split, and how those of a hub set are fetched."""

import re
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from litelvlm.data.understanding.question import QuestionDataError
from litelvlm.data.understanding.rows import parquet_files

_SPLIT = re.compile(r"(?:^|[/_.-])(train|validation|val|dev|testdev|test)(?=[/_.-])")


def split_files(folder: Path, part: str) -> list[Path]:
    """Parquet files of one split; all of them where none is named after any.

    They are those whose place begins with the part, else those that are named after its split. The
    folder may be the whole set, lie above it, or be the folder of the split itself.

    Args:
        folder: Where they are, or up to two folders above.
        part: Folder and beginning of the names of the split's files in the set.

    Raises:
        QuestionDataError: If files of other splits are there and none of this one, or if those of
            this split belong to several sets.
    """
    files = {path: path.relative_to(folder).as_posix() for path in parquet_files(folder)}
    place = folder.resolve().as_posix()
    begun = {path: _before(place, name, part) for path, name in files.items()}
    chosen = {path: before for path, before in begun.items() if before is not None}
    wanted = _named(f"{part}-")
    if not chosen:
        named = {path: _named(name) for path, name in files.items()}
        if not any(named.values()):
            return list(files)
        chosen = {path: one.before for path, one in named.items() if one and one.same(wanted)}
        if not chosen:
            others = sorted({one.split for one in named.values() if one})
            raise QuestionDataError(
                f"{folder} holds files of {', '.join(others)}, and none begins with {part!r} or is "
                f"named after its split; give a folder with the files of that split"
            )
    firsts = {before: path for path, before in reversed(chosen.items())}
    if len(firsts) > 1:
        one, other, *_ = sorted(files[path] for path in firsts.values())
        raise QuestionDataError(
            f"{folder} holds this split of {len(firsts)} sets, as in {one} and {other}; give the "
            "folder of one"
        )
    return list(chosen)


def _before(folder: str, path: str, part: str) -> str | None:
    """What stands before the part in a file's place; None if the part is nowhere in it."""
    whole = f"{folder}/{path}"
    starts = [found.end() for found in re.finditer(f"/(?={re.escape(part)})", whole)]
    # The part ends below the folder: what lies above it decides nothing.
    return next((whole[:at] for at in starts if at + len(part) > len(folder) + 1), None)


class _Named(NamedTuple):
    """The split that a file is named after, and what stands before that name."""

    before: str
    split: str

    def same(self, other: "_Named | None") -> bool:
        return other is not None and self.split == other.split


def _named(path: str) -> _Named | None:
    """The last name of a split in a file's place."""
    names = list(_SPLIT.finditer(path))
    if not names:
        return None
    found = names[-1]
    return _Named(path[: found.start(1)], "val" if found[1] == "validation" else found[1])


def fetched(name: str, part: str) -> Path:
    """The local copy of a hub set; of those that are fetched only the files of one split.

    Args:
        name: Hub id.
        part: As in ``split_files``. Where the set has no such files, all are fetched.

    Raises:
        FileNotFoundError: If there is no copy and none can be fetched.
    """
    try:
        folder = _snapshot(name, f"{part}*.parquet")
        found = [path.relative_to(folder).as_posix() for path in parquet_files(folder)]
        if not any(path.startswith(part) for path in found):
            folder = _snapshot(name, "*.parquet")
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise FileNotFoundError(
            f"{name} has no local copy and cannot be fetched; run `hf download --repo-type dataset "
            f"{name}` once where there is a network, or give a folder with its files"
        ) from error
    return folder


def _snapshot(name: str, pattern: str) -> Path:
    return Path(snapshot_download(name, repo_type="dataset", allow_patterns=[pattern]))
