"""Which code a benchmark runs: commit, changes, digest of the sources.

No package is imported here, so that it works before any is installed.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).parents[1]
SOURCES = ("benchmarks", "litelvlm", "analysis", "tests/parity", "tests/glamm_parts.py")
"""Folders and files whose code a measurement can depend on."""
PACK = ROOT / "PACK.json"
"""The list of a pack (``benchmarks.gpu.pack``); a checkout has none."""


class CodeState(TypedDict):
    """Which code ran.

    Attributes:
        commit: Its commit; "sources" and their digest where there is neither git nor a pack.
        clean: Whether the code is that of the commit, results of benchmarks aside; None if unknown.
    """

    commit: str
    clean: bool | None


def sources_digest() -> str:
    """Digest of everything that a measurement can depend on in this checkout."""
    digest = hashlib.sha256()
    for place in (ROOT / name for name in SOURCES):
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def code_state() -> CodeState:
    """Commit and state of this checkout, or of the checkout that this pack was made from."""
    if PACK.is_file():
        packed = json.loads(PACK.read_text(encoding="utf-8"))
        return {
            "commit": packed["commit"],
            "clean": packed["clean"] and packed["sources"] == sources_digest(),
        }
    prefix, _, commit = _git("rev-parse", "--show-prefix", "HEAD").partition("\n")
    if not commit or prefix:  # no git, or a plain copy inside the checkout of something else
        return {"commit": f"sources {sources_digest()}", "clean": None}
    changes = _git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return {"commit": commit.strip(), "clean": not changes}


def packed_parts() -> list[str] | None:
    """Names of the parts that this pack has the files of; None in a checkout."""
    if not PACK.is_file():
        return None
    names: list[str] = json.loads(PACK.read_text(encoding="utf-8"))["parts"]
    return names


def _git(*words: str) -> str:
    """What git says about this folder; empty if it is missing or refuses."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
