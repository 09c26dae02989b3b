"""Pages that programs write: their prose fits, and no word of it changes."""

from pathlib import Path

import pytest

from litelvlm.analysis.pages.wrapping import WIDTH, wrapped_page

DOCS = Path(__file__).parents[2] / "docs"
WRITTEN = ("all-methods.md", "audit.md", "glossary.md", "half-precision.md", "outside-numbers.md")
LONG = "word " * 60


def test_prose_is_wrapped_and_nothing_else():
    table, code, heading = f"| {LONG} |", f"```\n{LONG}\n\n- {LONG}\n```", f"# {LONG}"
    page = "\n".join([heading, "", LONG.strip(), "", "short", "lines", "", table, "", code, ""])
    wrapped = wrapped_page(page)
    assert wrapped.split() == page.split()
    assert all(part in wrapped for part in (heading, table, code, "\nshort\nlines\n"))
    prose = wrapped.split("\n\n")[1].split("\n")
    assert all(WIDTH - len("word ") < len(line) <= WIDTH for line in prose[:-1])
    assert wrapped_page(wrapped) == wrapped


def test_an_item_keeps_its_indent_and_no_line_begins_with_a_marker():
    words = ["word"] * 19 + ["-", "1.", "#"] + ["more"] * 30
    first, *rest = wrapped_page("- " + " ".join(words) + "\n- next").split("\n")
    assert first.startswith("- word")
    assert first.endswith("- 1. #")
    assert rest[-1] == "- next"
    assert all(line.startswith("  more") for line in rest[:-1])


def test_a_word_wider_than_a_line_stays_whole():
    address = "https://example.org/" + "a" * WIDTH
    assert wrapped_page(f"See {address} there.") == f"See\n{address}\nthere."


@pytest.mark.parametrize("name", WRITTEN)
def test_the_pages_of_docs_are_wrapped(name):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert wrapped_page(page) == page
