"""How results look on a terminal: tables and colours there, plain text everywhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

COLOURS = {"yes": "green", "ok": "green", "no": "yellow", "FAIL": "bold red"}
"""Cells that are coloured where there is a terminal."""


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows, headings first: a table on a terminal, aligned columns in a pipe or a file."""
    if not sys.stdout.isatty():
        from litelvlm.analysis.runs.formatting import aligned

        sys.stdout.write(aligned(rows))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*rows[0], box=SIMPLE_HEAD, pad_edge=False)
    for row in rows[1:]:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    Console(file=sys.stdout).print(table)


def records(rows: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Rows under their headings, for programs."""
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def print_json(found: object) -> None:
    """Print plain data as one JSON value; a number that is not finite is an error, never NaN."""
    json.dump(found, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def print_status(line: str) -> None:
    """Print on stderr what is done now."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
