"""Digest of the sources; no package is imported here, so that it works before any is installed."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("benchmarks", "litelvlm", "analysis", "tests/parity")
"""Folders whose code a measurement can depend on."""


def sources_digest() -> str:
    """Digest of everything that a measurement can depend on in this checkout."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
