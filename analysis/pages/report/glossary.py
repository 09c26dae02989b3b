"""The glossary: one file of terms, from which the page in docs and the links of a report are made.

``python -m litelvlm.analysis.pages.report.glossary docs/glossary.md`` writes the page.
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import TextWrapper

from markupsafe import Markup, escape

from litelvlm.analysis.pages.rendering import template_source
from litelvlm.data.files import atomic_write

_LINK = re.compile(r"\[([^\]]+)\]\((#[\w-]+|[\w-]+\.md)\)")
_EMPHASIS = re.compile(r"\*([^*]+)\*")
_ON_THE_PAGE = {"reading-verdicts.md": "#reading"}
"""Pages of docs that a report has a section for."""
_COLUMNS = 100
"""Longest line of the page."""


@dataclass(frozen=True)
class Term:
    """A term of the project.

    Attributes:
        name: As a heading.
        words: Forms that a text may use.
        meaning: One or a few sentences, as Markdown with links into the glossary.
    """

    name: str
    words: tuple[str, ...]
    meaning: str

    @property
    def anchor(self) -> str:
        """Its place on a page."""
        return re.sub(r"[^\w\- ]", "", self.name).strip().lower().replace(" ", "-")

    @property
    def plain(self) -> str:
        """Its meaning without links and emphasis."""
        return _EMPHASIS.sub(r"\1", _LINK.sub(r"\1", self.meaning))

    @property
    def html(self) -> Markup:
        """Its meaning with links inside the report."""
        text = _LINK.sub(_as_link, str(escape(self.meaning)))
        return Markup(_EMPHASIS.sub(r"<em>\1</em>", text))  # noqa: S704 - escaped above


@dataclass(eq=False)
class Explainer:
    """Links each term to its meaning where a page uses it first.

    Attributes:
        terms: Of the glossary.
        seen: Anchors of the terms that the page has used so far.
    """

    terms: Sequence[Term]
    seen: set[str] = field(default_factory=set)

    def __call__(self, text: str) -> Markup:
        """A text as HTML, its terms linked unless an earlier text of the page used them."""
        by_word = {str(escape(w)).lower(): term for term in self.terms for w in term.words}
        longest = sorted(by_word, key=len, reverse=True)
        pattern = rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])"

        def linked(found: re.Match[str]) -> str:
            term = by_word[found[0].lower()]
            if term.anchor in self.seen:
                return found[0]
            self.seen.add(term.anchor)
            return (
                f'<a class="term" href="#{term.anchor}" title="{escape(term.plain)}">{found[0]}</a>'
            )

        return Markup(  # noqa: S704 - escaped first
            re.sub(pattern, linked, str(escape(text)), flags=re.IGNORECASE)
        )


@cache
def terms() -> tuple[Term, ...]:
    """All terms, by their name."""
    return tuple(
        Term(entry["name"], tuple(entry["words"]), " ".join(entry["meaning"].split()))
        for entry in tomllib.loads(template_source("glossary.toml"))["term"]
    )


def glossary_page() -> str:
    """The page of docs."""
    lines = TextWrapper(_COLUMNS, break_long_words=False, break_on_hyphens=False)
    parts = [f"## {term.name}\n\n{lines.fill(term.meaning)}" for term in terms()]
    return "\n\n".join(["# Glossary", *parts]) + "\n"


def _as_link(found: re.Match[str]) -> str:
    place = _ON_THE_PAGE.get(found[2], found[2])
    return f'<a href="{place}">{found[1]}</a>' if place.startswith("#") else found[1]


if __name__ == "__main__":
    atomic_write(Path(sys.argv[1]), glossary_page())
