"""Which of a folder's Parquet files belong to one split, and how those of a hub set are fetched."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from litelvlm.data.understanding.question import QuestionDataError
from litelvlm.data.understanding.rows import parquet_files

_SPLIT = re.compile(r"(?:^|[/_.-])(train|validation|val|dev|testdev|test)(?=[/_.-])")


def split_files(folder: Path, part: str) -> list[Path]:
    """Parquet files of one split; all of them where none is named after it.

    The folder may be the whole set, lie above it, or be the folder of the split itself.

    Args:
        folder: Where they are, or up to two folders above.
        part: Folder and beginning of the names of the split's files in the set.

    Raises:
        QuestionDataError: If none is of this split, and the others are of several.
    """
    files = parquet_files(folder)
    place = folder.resolve()
    chosen = [path for path in files if _lies_in(place, path.relative_to(folder), part)]
    if chosen:
        return chosen
    names = sorted({n for path in files for n in _named(path.relative_to(folder).as_posix())})
    if len(names) > 1:
        raise QuestionDataError(
            f"{folder} holds files of the splits {', '.join(names)}, and none begins with "
            f"{part!r}; give a folder with the files of one split"
        )
    return files


def _lies_in(folder: Path, path: Path, part: str) -> bool:
    """Whether a file's place begins with the part, counted from any folder on its way."""
    whole, end = f"{folder.as_posix()}/{path.as_posix()}", len(folder.as_posix())
    starts = [found.end() - 1 for found in re.finditer(f"/(?={re.escape(part)})", whole)]
    # The part ends below the folder: what lies above it decides nothing.
    return any(start + 1 + len(part) > end + 1 for start in starts)


def _named(path: str) -> set[str]:
    return {"val" if name == "validation" else name for name in _SPLIT.findall(path)}


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
