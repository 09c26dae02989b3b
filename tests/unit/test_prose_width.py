"""Prose of every tracked page and comments of build files fit in 100 columns."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDTH = 100
UNBROKEN = re.compile(r"!?\[[^\]]*\]\([^)]*\)|`[^`]*`|<[^>]*>")
"""Links, code and HTML tags, which may be wider than a line."""


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


def tracked(pattern):
    listed = subprocess.run(
        ["git", "ls-files", pattern], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


def test_what_counts_as_wide():
    long = "word " * 21
    address = f"[a page](https://example.org/{'a' * 100})"
    page = [long, "short", f"| {long} |", "```", long, "```", f"- {address}", f"{address}.", long]
    assert wide_lines("\n".join(page)) == [1, 9]
    assert wide_lines(f"See {address}") == [1]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_prose_fits():
    pages = tracked("*.md")
    assert ROOT / "README.md" in pages
    wide = {page.name: wide_lines(page.read_text(encoding="utf-8")) for page in pages}
    assert {name: lines for name, lines in wide.items() if lines} == {}


@pytest.mark.parametrize("name", ["Makefile", "pyproject.toml"])
def test_comments_of_build_files_fit(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("#") and len(line) > WIDTH] == []
