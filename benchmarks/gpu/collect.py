"""Results of the GPU programme in one archive: ``python -m benchmarks.gpu.collect FILE.tar.gz``.

Everything below ``--out`` goes in, unfinished measurements and states of trainings included, so
that a later session can go on with them. Rendered scenes stay out; they follow from their seeds.

``--unpack`` puts an archive back below ``--out``, here or on the next machine. Files of the archive
replace those of the same name, others stay, and ``summary.json`` keeps the parts that only one of
the two has. An archive with a link, a path that leads out, or more than ``MOST`` bytes is refused
before anything is written.
"""

import argparse
import gzip
import io
import json
import sys
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from benchmarks.gpu.runner import OUT, RECORD, SUMMARY
from litelvlm.data.files import atomic_write

MOST = 1 << 29
"""Bytes that an archive may unpack to."""
_RENDERED = "family/family/scenes"


def collect(out: Path, archive: Path) -> list[str]:
    """Write the results below a folder into one archive, and return their names.

    Args:
        out: Folder of all parts.
        archive: The file to write.

    Raises:
        FileNotFoundError: If no part was run into the folder.
    """
    if not any(out.glob(f"*/{RECORD}")):
        raise FileNotFoundError(f"{out} has no part of the programme; --out names their folder")
    names = [
        path.relative_to(out).as_posix()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.is_symlink() and path != archive
    ]
    chosen = [name for name in names if not name.startswith(f"{_RENDERED}/")]
    with tarfile.open(archive, "w:gz") as packed:
        for name in chosen:
            packed.add(out / name, name)
    return chosen


def unpack(archive: Path, out: Path) -> list[str]:
    """Put the results of an archive below a folder, and return their names.

    Args:
        archive: What ``collect`` wrote.
        out: Folder of all parts.

    Raises:
        ValueError: If it is no such archive; nothing is written then.
    """
    broken = f"{archive} is not a whole .tar.gz archive"
    try:
        with gzip.open(archive) as stream:
            content = stream.read(MOST + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{broken}: {error}") from error
    # Bounded before tarfile reads a header, whose size the archive states itself.
    if len(content) > MOST:
        raise ValueError(f"{archive} unpacks to more than {MOST:,} bytes; nothing was unpacked")
    try:
        packed = tarfile.TarFile(fileobj=io.BytesIO(content))
        entries = packed.getmembers()
    except (tarfile.TarError, ValueError) as error:  # a header may state a bad number
        raise ValueError(f"{broken}: {error}") from error
    check(archive, entries)
    streams = {entry.name: packed.extractfile(entry) for entry in entries}
    contents = {name: stream.read() for name, stream in streams.items() if stream}
    if SUMMARY in contents and (out / SUMMARY).is_file():
        contents[SUMMARY] = joined((out / SUMMARY).read_bytes(), contents[SUMMARY])
    for name, content in contents.items():
        atomic_write(out / name, content)
    return list(contents)


def check(archive: Path, entries: Sequence[tarfile.TarInfo]) -> None:
    """Refuse whatever ``collect`` does not write.

    Raises:
        ValueError: If an entry is not a plain file below the folder, two cannot stand beside each
            other, they are too large, or there is no part of the programme.
    """
    names = [PurePosixPath(entry.name) for entry in entries]
    folders = {folder for name in names for folder in name.parents}
    if len(set(names)) < len(names) or folders.intersection(names):
        raise ValueError(f"{archive}: two files have one name; nothing was unpacked")
    for entry in entries:
        path = PurePosixPath(entry.name)
        if not entry.isfile() or entry.issparse():
            raise ValueError(f"{archive}: {entry.name!r} is not a plain file; nothing was unpacked")
        if path.is_absolute() or ".." in path.parts or "\\" in entry.name or ":" in entry.name:
            raise ValueError(f"{archive}: {entry.name!r} leads out; nothing was unpacked")
    if sum(entry.size for entry in entries) > MOST:
        raise ValueError(f"{archive} unpacks to more than {MOST:,} bytes; nothing was unpacked")
    if not any(name.name == RECORD for name in names):
        raise ValueError(f"{archive} has no part of the programme; nothing was unpacked")


def joined(old: bytes, new: bytes) -> bytes:
    """A summary with the parts of both; the newer one wins.

    Raises:
        ValueError: If one of them is not a summary.
    """
    first, second = json.loads(old), json.loads(new)
    listed = (
        isinstance(one, dict) and isinstance(one.get("parts"), dict) for one in (first, second)
    )
    if not all(listed):
        raise ValueError(f"{SUMMARY} does not list parts; nothing was unpacked")
    second["parts"] = {**first["parts"], **second["parts"]}
    return json.dumps(second, indent=1).encode() + b"\n"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, metavar="FILE.tar.gz")
    parser.add_argument("--out", type=Path, default=OUT, help="what --out of the programme named")
    parser.add_argument("--unpack", action="store_true", help="the other way")
    given = parser.parse_args()
    try:
        if given.unpack:
            names = unpack(given.archive, given.out)
            print(f"{given.archive}: {len(names)} files unpacked into {given.out}")
        else:
            names = collect(given.out, given.archive)
            size = given.archive.stat().st_size / 1e6
            print(f"{given.archive}: {len(names)} files of {given.out}, {size:.2f} MB")
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
