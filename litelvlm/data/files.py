"""Whole-or-absent output: a file or folder appears under its name only when complete.

Content goes to a temporary name in the same folder, is flushed to the disk, and is then renamed,
which is atomic on one local file system; network file systems may promise less. What an interrupted
process leaves behind is a hidden temporary entry, never a half-written result; `remove_debris`
deletes old ones.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_PREFIX, _SUFFIX = ".", ".incomplete"
Content = bytes | str | Callable[[BinaryIO], object]


def atomic_write(path: str | Path, content: Content) -> Path:
    """Write a file so that readers see the old content or all of the new one.

    A symbolic link is written through, and an existing file keeps its permission bits. Missing
    parent folders are made.

    Args:
        path: The file.
        content: Bytes, text (UTF-8), or a function that writes to the binary file it is given.

    Returns:
        The path as given.

    Raises:
        OSError: If the place cannot be written; the error names the file itself.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     atomic_write(Path(folder) / "a.txt", "hello").read_text()
        'hello'
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f"{_PREFIX}{target.name}.", suffix=_SUFFIX, dir=target.parent
        )
    except OSError as error:  # names the temporary file, which nobody knows of
        raise OSError(error.errno, f"cannot be written ({error.strerror})", str(path)) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            if callable(content):
                content(stream)
            else:
                stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(
            temporary, target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
        )
        os.replace(temporary, target)
    except BaseException as error:
        # KeyboardInterrupt too must leave no debris.
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk names no file by itself
        raise
    _sync_folder(target.parent)
    return Path(path)


def atomic_folder(path: str | Path, fill: Callable[[Path], object]) -> Path:
    """Create a folder whole: `fill` writes into a temporary folder, which is then renamed.

    If another process finishes the same folder first, its folder stays and ours is dropped: both
    must be made by the same recipe.

    Args:
        path: The folder; it must not exist yet, or `fill` is not called.
        fill: Writes the content into the folder it is given.

    Returns:
        The path as given.
    """
    target = Path(path)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(
        tempfile.mkdtemp(prefix=f"{_PREFIX}{target.name}.", suffix=_SUFFIX, dir=target.parent)
    )
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        fill(temporary)
        for folder, _, names in os.walk(temporary):
            for name in names:
                with open(os.path.join(folder, name), "rb") as stream:
                    os.fsync(stream.fileno())
            _sync_folder(Path(folder))
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync_folder(target.parent)
    return target


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder, so that a new one can take its place; returns the new name.

    Example:
        "run.json" becomes "run.json.damaged", the next one "run.json.damaged-2".
    """
    number, aside = 1, path.with_name(f"{path.name}.damaged")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(aside)
    return aside


def is_aside(path: Path) -> bool:
    """Whether ``set_aside`` gave a file its name.

    Example:
        >>> is_aside(Path("run.json.damaged-2")), is_aside(Path("run.json"))
        (True, False)
    """
    return re.search(r"\.damaged(-\d+)?$", path.name) is not None


def remove_debris(folder: str | Path, older_than: float = 3600.0) -> list[Path]:
    """Delete temporary entries that a killed process left in a folder.

    Args:
        folder: Where to look, not recursively.
        older_than: Seconds since the last change; younger entries may belong to a running process.

    Returns:
        The paths deleted.
    """
    removed = []
    for entry in sorted(Path(folder).glob(f"{_PREFIX}*{_SUFFIX}")):
        if time.time() - entry.lstat().st_mtime >= older_than:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
            removed.append(entry)
    return removed


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
