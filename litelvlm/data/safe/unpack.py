"""Unpack archives of data: bounded in size, nothing outside the folder, no links."""

import shutil
import stat
import struct
import zlib
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from litelvlm.data.files import atomic_folder
from litelvlm.data.safe.shown import shown

MAX_ENTRIES = 2_000_000
MAX_GROWTH = 20
"""How many times larger than the archive its content may be; pictures hardly shrink, tables do."""
_PIECE = 1 << 20
_ENCRYPTED = 0x1
_DAMAGED = (
    BadZipFile, EOFError, NotImplementedError, OverflowError, RuntimeError, struct.error,
    zlib.error,
)  # fmt: skip


def unpack(archive: Path, target: Path) -> Path:
    """Write the files of a zip archive below a folder, which appears only when it is complete.

    Args:
        archive: The archive.
        target: The folder; nothing is done if it exists.

    Raises:
        FileNotFoundError: If there is no archive.
        ValueError: If it is damaged or too large for its size, or an entry lies outside the folder,
            stands twice, is a link or is encrypted.
    """
    try:
        with ZipFile(archive) as packed:
            entries = packed.infolist()
            if problem := _problem(entries, archive.stat().st_size):
                raise ValueError(f"{archive} {problem}; it was not unpacked")
            return atomic_folder(target, lambda folder: _write(packed, entries, folder))
    except _DAMAGED as error:
        raise ValueError(
            f"{archive} is damaged ({str(error)[:200]}); remove it and fetch it again"
        ) from error


def _write(packed: ZipFile, entries: list[ZipInfo], folder: Path) -> None:
    for entry in entries:
        place = folder / entry.filename
        if entry.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        # The reader stops at the stated size and compares the checksum.
        with packed.open(entry) as stream, place.open("xb") as file:
            shutil.copyfileobj(stream, file, _PIECE)


def _problem(entries: list[ZipInfo], size: int) -> str:
    """What is wrong with an archive of so many bytes, as the rest of a sentence."""
    names = [entry.filename.rstrip("/").casefold() for entry in entries]
    if len(names) > MAX_ENTRIES or len(set(names)) < len(names):
        return f"has {len(names):,} entries, or one of them twice"
    if sum(entry.compress_size for entry in entries) > size:
        return "has entries that overlap"
    whole = sum(entry.file_size for entry in entries)
    if whole > MAX_GROWTH * size:
        return f"unpacks to {whole:,} bytes, more than {MAX_GROWTH} times its own {size:,}"
    files = {PurePosixPath(entry.filename) for entry in entries if not entry.is_dir()}
    for entry in entries:
        reason = _unsafe(entry)
        if not reason and not files.isdisjoint(PurePosixPath(entry.filename).parents):
            reason = "lies below a file"
        if reason:
            return f"has the entry {shown(entry.filename)}, which {reason}"
    return ""


def _unsafe(entry: ZipInfo) -> str:
    """Why an entry cannot be written; empty if it can."""
    # The reader cuts a name at NUL, so the name as it was stored counts too.
    name, place = entry.orig_filename, PurePosixPath(entry.filename)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        return "lies outside the folder"
    if any(sign in name for sign in ("\\", "\0", ":")):
        return "has a sign that no file name here may have"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    return "is encrypted" if entry.flag_bits & _ENCRYPTED else ""
