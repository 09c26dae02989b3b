"""List the licence of every package that the project needs, and those that need a look.

Usage: ``python -m benchmarks.licences`` (or ``python benchmarks/licences.py``). Reads what is
installed, by ``importlib.metadata``, and follows requirements of requirements. Writes
``benchmarks/results/licences.csv``; exits with 1 if a package states no licence, or one that is not
among the permissive and weak copyleft ones below.
"""

import csv
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import no_options

RESULT = Path(__file__).parent / "results" / "licences.csv"
PROJECT, EXTRAS = "litelvlm", ("notebook", "demo", "scale", "quant", "dev")
ALLOWED = re.compile(
    r"\b(apache|mit|(?:free)?bsd|isc|psf|python software foundation|mpl|mozilla|hpnd|unlicense|"
    r"zlib|0bsd|cc0|public domain|blueoak|boost|lgpl|lesser general|zpl|zope|proprietary nvidia)\b",
    re.IGNORECASE,
)
PROPRIETARY = re.compile(r"nvidia|cuda", re.IGNORECASE)
"""GPU libraries that torch's wheels for CUDA bring; a CPU wheel of torch has none of them."""


class Licence(NamedTuple):
    """What a package says of its licence.

    Attributes:
        package: Name.
        version: Installed version.
        licence: Its licence, shortened.
        needed_by: The extra that asks for it first; "" for the project itself.
        remark: "" if the licence is among the known ones.
    """

    package: str
    version: str
    licence: str
    needed_by: str
    remark: str


def stated(name: str) -> str:
    """The licence that a package states: its expression, its classifiers, or the first line."""
    about = distribution(name).metadata
    expression = about.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        entry.split(" :: ")[-1]
        for entry in about.get_all("Classifier") or []
        if entry.startswith("License ::")
    ]
    text = str(about.get("License") or "").strip().splitlines()
    return "; ".join(classifiers) or (text[0][:80] if text else "")


def requirements(name: str, extra: str = "") -> Iterable[str]:
    """Names that a package requires here, with those of one extra."""
    for line in distribution(name).requires or []:
        wanted, _, marker = line.partition(";")
        asked = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
        if (asked.group(1) if asked else "") == extra:
            yield re.split(r"[\s\[<>=!~(]", wanted.strip())[0]


def closure() -> dict[str, str]:
    """Every package that is needed and installed, with the extra that asks for it first."""
    found: dict[str, str] = {}
    for extra in ("", *EXTRAS):
        left = list(requirements(PROJECT, extra))
        while left:
            name = re.sub(r"[-_.]+", "-", left.pop()).lower()
            if name in found or name == PROJECT:
                continue
            try:
                more = list(requirements(name))
            except PackageNotFoundError:  # for another system, or another version of Python
                continue
            found[name] = extra
            left += more
    return found


def licences() -> list[Licence]:
    """The licence of every package, by name."""
    rows = []
    for name, extra in sorted(closure().items()):
        licence = stated(name)
        known = ALLOWED.search(licence)
        remark = "" if known else "proprietary GPU library" if PROPRIETARY.search(name) else "look"
        rows.append(Licence(name, distribution(name).version, licence, extra, remark))
    return rows


def main() -> int:
    """Write the table; 1 if a licence needs a look."""
    rows = licences()
    with RESULT.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(Licence._fields)
        table.writerows(rows)
    for row in rows:
        sys.stdout.write(f"{row.package:<32} {row.licence[:60]:<60} {row.remark}\n")
    looked_at = [row.package for row in rows if row.remark == "look"]
    sys.stdout.write(f"{len(rows)} packages; to look at: {', '.join(looked_at) or 'none'}\n")
    return int(bool(looked_at))


if __name__ == "__main__":
    no_options(__doc__)
    sys.exit(main())
