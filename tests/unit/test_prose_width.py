"""Prose of every page and comments of build files fit in 100 columns."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDTH = 100
UNBROKEN = re.compile(r"!?\[[^\]]*\]\([^)]*\)|`[^`]*`|<[^>]*>")
"""Links, code and HTML tags, which may be wider than a line."""

LEFT = {"report", "runs", "site", "build", "dist", "node_modules"}
"""Folders that commands leave in a checkout."""


def wide_lines(page):
    """Lines of prose above the width, but for tables, code and what cannot be broken."""
    found, fenced = [], False
    for number, line in enumerate(page.split("\n"), 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced and len(line) > WIDTH and not line.lstrip().startswith("|"):
            words = UNBROKEN.sub("x", line.lstrip(" -*>#0123456789.")).split()
            found += [number] if len(words) > 1 else []
    return found


def pages_of_the_project():
    """Pages at the top and in folders of the project; what installs and runs leave is no part."""
    return [
        page
        for page in ROOT.rglob("*.md")
        if not any(part in LEFT or part.startswith(".") for part in page.relative_to(ROOT).parts)
    ]


def test_what_counts_as_wide():
    long = "word " * 21
    address = f"[a page](https://example.org/{'a' * 100})"
    page = [long, "short", f"| {long} |", "```", long, "```", f"- {address}", f"{address}.", long]
    assert wide_lines("\n".join(page)) == [1, 9]
    assert wide_lines(f"See {address}") == [1]


def test_prose_fits():
    pages = pages_of_the_project()
    assert ROOT / "README.md" in pages
    wide = {page.name: wide_lines(page.read_text(encoding="utf-8")) for page in pages}
    assert {name: lines for name, lines in wide.items() if lines} == {}


@pytest.mark.parametrize("name", ["Makefile", "pyproject.toml"])
def test_comments_of_build_files_fit(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("#") and len(line) > WIDTH] == []
