"""Compare two sets of run folders.

Usage: ``python benchmarks/compare_summaries.py OLD NEW [--renamed NAMES.json]``.

For code that moved without being meant to change a number. Runs are matched by study; claims by id;
tables by name. Words may differ, numbers may not. NAMES.json gives the new name of each old one,
for ids of claims and for cells of tables; then the order of lines does not count. Prints what
differs and exits with 1 if anything does.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

NUMBERS = [
    "estimate",
    "low",
    "high",
    "n",
    "n_images",
    "null",
    "verdict",
    "p_value",
    "one_sided",
    "p_claimed",
    "margin",
    "p_equivalent",
]
"""Fields of a claim that must be equal."""


def summaries(folder: Path) -> dict[str, dict[str, object]]:
    """Summaries of the runs in a folder, by study."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/summary.json"))]
    return {summary["study"]: summary for summary in found}


def renamed(summary: dict[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """A summary under its new names, the lines of each table sorted."""

    def name_of(cell: object) -> object:
        return names.get(cell, cell) if isinstance(cell, str) else cell

    claims = [claim | {"id": name_of(claim["id"])} for claim in summary["claims"]]
    tables = {
        name: {"rows": sorted(([*map(name_of, row)] for row in table["rows"]), key=repr)}
        for name, table in summary["tables"].items()
    }
    return summary | {"claims": claims, "tables": tables}


def differences(old: dict[str, object], new: dict[str, object]) -> Iterator[str]:
    """What differs between two summaries of one study, a line each."""
    before, after = ({claim["id"]: claim for claim in one["claims"]} for one in (old, new))
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            yield f"claim {name} is {'new' if name in after else 'gone'}"
            continue
        for field in NUMBERS:
            if before[name].get(field) != after[name].get(field):
                yield f"claim {name}: {field} {before[name].get(field)} -> {after[name].get(field)}"
    for name in sorted({*old["tables"], *new["tables"]}):
        if name not in old["tables"] or name not in new["tables"]:
            yield f"table {name} is {'new' if name in new['tables'] else 'gone'}"
        elif old["tables"][name]["rows"] != new["tables"][name]["rows"]:
            pairs = zip(old["tables"][name]["rows"], new["tables"][name]["rows"], strict=False)
            first = next(((a, b) for a, b in pairs if a != b), "other lengths")
            yield f"table {name}: {first}"


def main() -> int:
    """Compare all studies that both folders hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--renamed", type=Path, help="JSON: old name to new name")
    given = parser.parse_args()
    old, new = summaries(given.old), summaries(given.new)
    if given.renamed is not None:
        names = json.loads(given.renamed.read_text())
        old, new = (
            {study: renamed(one, names) for study, one in found.items()} for found in (old, new)
        )
    for folder, found in ((given.old, old), (given.new, new)):
        if not found:
            parser.error(f"{folder} has no finished run; name the folder that contains run folders")
    failed = False
    for study in sorted({*old, *new}):
        if study not in old or study not in new:
            sys.stdout.write(f"{study}: only in one of the folders\n")
            failed = True
            continue
        found = list(differences(old[study], new[study]))
        claims, tables = len(new[study]["claims"]), len(new[study]["tables"])
        sys.stdout.write(f"{study}: {claims} claims, {tables} tables, {len(found)} differences\n")
        sys.stdout.write("".join(f"  {line}\n" for line in found))
        failed |= bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
