"""Archives of weights as torch writes them: nothing packed, nothing twice, a small plan."""

import struct
import zlib
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

from litelvlm.data.safe.pickle_gate import check_pickle

MAX_ENTRIES = 200_000
MAX_PLAN_BYTES = 2**26
"""Of the pickle that says which tensors there are; that of a LLaMA-7B has about 100 kB."""
SUFFIXES = (".bin", ".pt", ".pth")
# What Python's reader of archives raises on damaged ones, all meaning the same to a caller.
_DAMAGED = (
    BadZipFile, OSError, ValueError, RuntimeError, EOFError, KeyError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip


def check_archive(path: Path) -> None:
    """Refuse an archive of weights that would not be read as it is written.

    torch stores every entry as it is. It reads a packed entry as if it were not packed where the
    file is mapped, so that other numbers come out; elsewhere a small entry may unpack to any size.

    Raises:
        ValueError: If it is no zip archive, an entry is packed or stands twice, entries overlap, or
            the plan is too large or nested too deeply.
    """
    if not is_zipfile(path):
        raise ValueError(
            f"{path} is truncated, damaged, or saved by a torch before 1.6; fetch it again"
        )
    try:
        with ZipFile(path) as archive:
            problem = _problem(archive, path.stat().st_size)
    except _DAMAGED as error:
        problem = f"is damaged or hostile ({str(error)[:200]})"
    if problem:
        raise ValueError(f"{path} {problem}; fetch it again, best as safetensors")


def check_archives(folder: Path) -> None:
    """Check every archive of weights that lies directly in a folder.

    Raises:
        ValueError: Naming the file.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and path.is_file():
            check_archive(path)


def _problem(archive: ZipFile, size: int) -> str:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(names) > MAX_ENTRIES or len(set(names)) < len(names):
        return f"has {len(names):,} entries, or one of them twice"
    packed = [entry.filename for entry in entries if entry.compress_type != ZIP_STORED]
    if packed:
        return f"has packed entries ({packed[0][:60]!r}), which torch never writes"
    if sum(entry.file_size for entry in entries) > size:
        return "has entries that overlap"
    plans = [entry for entry in entries if entry.filename.split("/")[-1] == "data.pkl"]
    if len(plans) != 1 or plans[0].file_size > MAX_PLAN_BYTES:
        return f"has no plan of its tensors (data.pkl), several, or one above {MAX_PLAN_BYTES:,}"
    check_pickle(archive.read(plans[0]), plain=False)
    return ""
