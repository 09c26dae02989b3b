"""Prose of a page that a program writes, wrapped as the other pages are."""

import re

WIDTH = 100
"""Columns of a line of prose."""
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)]) ")
_MARKER = re.compile(r"[-*+]|#{1,6}|=+|\d+[.)]|[|>].*")


def wrapped_page(page: str) -> str:
    """Wrap paragraphs and list items of a Markdown page; tables, code and headings stay.

    A paragraph whose lines all fit stays as it is. A word that is wider than a line stays whole.

    Args:
        page: Markdown without HTML blocks.

    Example:
        >>> print(wrapped_page("- " + "word " * 20 + "end").replace(" ", "."))
        -.word.word.word.word.word.word.word.word.word.word.word.word.word.word.word.word.word.word.word
        ..word.end
    """
    found, paragraph, fenced = list[str](), list[str](), False
    for line in page.split("\n"):
        fence = line.lstrip().startswith("```")
        whole = fenced or fence or not line.strip() or line.startswith(("|", "#"))
        if whole or _ITEM.match(line):
            found += _filled(paragraph)
            paragraph = []
        (found if whole else paragraph).append(line)
        fenced ^= fence
    return "\n".join([*found, *_filled(paragraph)])


def _filled(paragraph: list[str]) -> list[str]:
    """The lines of one paragraph or list item."""
    if all(len(line) <= WIDTH for line in paragraph):
        return paragraph
    item = _ITEM.match(paragraph[0])
    mark = item[0] if item else ""
    words = " ".join(map(str.strip, [paragraph[0][len(mark) :], *paragraph[1:]])).split()
    lines = [mark + words[0]]
    for word in words[1:]:
        # A marker at the start of a line would begin a list or a heading.
        if len(lines[-1]) + 1 + len(word) <= WIDTH or _MARKER.fullmatch(word):
            lines[-1] += f" {word}"
        else:
            lines.append(" " * len(mark) + word)
    return lines
