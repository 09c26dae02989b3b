"""What the GPU programme reads, in one archive: ``python -m benchmarks.gpu.pack OUT``.

A machine that takes little gets the code and the files that the chosen parts read, and nothing
else. ``OUT`` is written as an archive if it ends in ``.tar.gz``, else as a folder. Unpacked into an
empty folder, it runs as the checkout does: ``python -m benchmarks.gpu``, for these parts. Its
``PACK.json`` names the commit, whether the checkout was clean, the digest of the sources, and every
file with size and SHA-256; results name the commit through it.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.gpu.parts import PARTS, RECORDED, SCENES, SHAPES, SIZES, WEIGHTS, Part
from benchmarks.sources import PACK, ROOT, code_state, sources_digest

CODE = "code"
_MODELS = "litelvlm/embedded/weights"
KINDS: Mapping[str, Sequence[str]] = {
    CODE: (
        *("benchmarks/*.py", "litelvlm/*.py", "analysis/*.py", "litelvlm/analysis"),
        *("tests/__init__.py", "tests/glamm_parts.py", "tests/parity/*.py"),
        *("benchmarks/gpu-*.txt", "pyproject.toml", "LICENSE"),
    ),
    SIZES: (f"{_MODELS}/pictograms/*.json", f"{_MODELS}/pictograms/*.model"),
    WEIGHTS: (f"{_MODELS}/pictograms/*.safetensors",),
    SCENES: ("litelvlm/data/worlds/pictograms/atlas.png", "litelvlm/data/worlds/pictograms/*.txt"),
    RECORDED: ("tests/fixtures/parity/pruner/*", "tests/fixtures/parity/glamm/*"),
    SHAPES: (f"{_MODELS}/shapes/*.json", f"{_MODELS}/shapes/*.model"),
}
"""Files by what they are for, as patterns whose star crosses folders. All of the code goes along,
so that its digest is that of the checkout. A model of random weights still reads the sizes and the
tokenizers of the miniature."""


def kinds_of(parts: Collection[Part], tiny: bool) -> list[str]:
    """Which kinds of files parts read.

    Args:
        parts: Of the programme.
        tiny: Whether their dry run is to work too.
    """
    wanted = {kind for part in parts for kind in (*part.reads, *(part.tiny_reads if tiny else ()))}
    return [kind for kind in KINDS if kind == CODE or kind in wanted]


def files_of(kinds: Collection[str]) -> dict[str, list[str]]:
    """Tracked files of each kind.

    Raises:
        FileNotFoundError: If there is none of a kind, as outside a checkout.
    """
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    tracked = listed.split("\0")[:-1]
    found = {
        kind: [name for name in tracked if any(fnmatch(name, p) for p in KINDS[kind])]
        for kind in kinds
    }
    empty = [kind for kind, names in found.items() if not names]
    if empty:
        raise FileNotFoundError(
            f"no tracked files of kind {', '.join(empty)} in this folder; a pack is made in a git "
            "checkout"
        )
    return found


def listing(parts: Sequence[Part], files: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What ``PACK.json`` holds."""
    entries = {}
    for name in sorted(name for names in files.values() for name in names):
        if (ROOT / name).is_symlink():
            continue
        content = (ROOT / name).read_bytes()
        entries[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {
        **code_state(),
        "sources": sources_digest(),
        "parts": [part.name for part in parts],
        "bytes": {
            kind: sum(entries[name]["bytes"] for name in names if name in entries)
            for kind, names in files.items()
        },
        "files": entries,
    }


def write(out: Path, names: Sequence[str], text: str) -> None:
    """Write an archive or a folder; an archive is there whole or not at all.

    Args:
        out: Its path; the ending says which.
        names: Files below the checkout.
        text: Of ``PACK.json``.

    Raises:
        FileExistsError: If the folder is there and holds something.
    """
    if not out.name.endswith(".tar.gz"):
        if out.is_dir() and any(out.iterdir()):
            raise FileExistsError(f"{out} is not empty; name another folder, or remove it")
        copy(out, names, text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent) as temporary:
        folder, packed = Path(temporary) / "files", Path(temporary) / "packed"
        copy(folder, names, text)
        with tarfile.open(packed, "w:gz") as archive:
            for name in (PACK.name, *names):
                archive.add(folder / name, name, filter=_anonymous)
        packed.replace(out)


def copy(folder: Path, names: Sequence[str], text: str) -> None:
    """Write the files of a pack and its ``PACK.json`` into a folder."""
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place, follow_symlinks=False)
    (folder / PACK.name).write_text(text, encoding="utf-8")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [part.name for part in PARTS]
    parser.add_argument("out", type=Path, metavar="OUT", help="FILE.tar.gz, or a new folder")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART")
    parser.add_argument("--tiny", action="store_true", help="also what their dry run reads")
    given = parser.parse_args()
    parts = [part for part in PARTS if part.name in given.parts]
    try:
        files = files_of(kinds_of(parts, given.tiny))
        made = listing(parts, files)
        chosen = sorted(name for of_kind in files.values() for name in of_kind)
        write(given.out, chosen, json.dumps(made, indent=1) + "\n")
    except OSError as error:
        parser.error(str(error))
    for kind, of_kind in files.items():
        print(f"{kind:<10}{len(of_kind):>5} files {made['bytes'][kind] / 1e6:>7.2f} MB")
    size = f", {given.out.stat().st_size / 1e6:.2f} MB" if given.out.is_file() else ""
    state = "" if made["clean"] else ", with changes"
    print(f"{given.out}{size}: commit {made['commit'][:12]}{state}, parts {' '.join(given.parts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
