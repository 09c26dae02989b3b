"""A digest over the content of many files, which are read again only when they have changed."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from litelvlm.data.cache import cache_folder
from litelvlm.data.files import atomic_write

MISSING = "missing"

# Of a file: its size, the time of its last change in nanoseconds, and the sha256 of its content.
_Known = dict[str, tuple[int, int, str]]


def content_digest(files: Iterable[Path]) -> str:
    """Sha256 over the names and contents of files, whatever their order.

    The digest of a file is kept in the cache folder and used as long as the file's size and the
    time of its last change stay the same. A file that is missing counts as missing.

    Args:
        files: The files; of each only the name below its folder counts, so that a data set may
            move.
    """
    folders: dict[Path, set[str]] = {}
    for file in files:
        folders.setdefault(file.parent, set()).add(file.name)
    found = [line for folder, names in folders.items() for line in _digests(folder, names)]
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def _digests(folder: Path, names: set[str]) -> list[str]:
    """A line per file of one folder; what was read is noted for the next time."""
    note = cache_folder() / "content" / f"{hashlib.sha256(str(folder).encode()).hexdigest()}.json"
    known = _read(note)
    now = {name: _state(folder / name, known.get(name)) for name in names}
    if any(known.get(name) != state for name, state in now.items()):
        with suppress(OSError):  # without a cache folder every file is read each time
            atomic_write(note, json.dumps(known | now))
    return [f"{name}\t{digest}" for name, (_, _, digest) in now.items()]


def _state(file: Path, known: tuple[int, int, str] | None) -> tuple[int, int, str]:
    if not file.is_file():
        return 0, 0, MISSING
    facts = file.stat()
    if known is not None and known[:2] == (facts.st_size, facts.st_mtime_ns):
        return known
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return facts.st_size, facts.st_mtime_ns, digest


def _read(note: Path) -> _Known:
    """What is known of a folder; nothing if the note is missing or damaged."""
    try:
        stored = json.loads(note.read_bytes())
        return {name: (int(a), int(b), str(digest)) for name, (a, b, digest) in stored.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
