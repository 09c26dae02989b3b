"""What the site changes in the pages of this folder, which GitHub and editors show as they are."""

import re
from inspect import cleandoc

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from litelvlm.analysis.cli import VERBS

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")
_STEP = re.compile(r"\d+\. ")
_COMMANDS = "<!-- commands -->"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the commands, name files outside the site, and indent steps as the site reads them.

    Args:
        markdown: The page as it is written.
        page: Of the site.
        config: Of the site.
        files: All files of the site.
    """
    text = markdown.replace(_COMMANDS, commands())
    text = _OUTSIDE.sub(lambda found: f"{found[1]} (`{found[2].removeprefix('../')}`)", text)
    return with_wide_steps(text)


def commands() -> str:
    """One section per verb: its description with examples, and its options with their help."""
    return "\n\n".join(f"## litelvlm {name}\n\n{description(verb)}" for name, verb in VERBS.items())


def description(verb: type) -> str:
    """The docstring of a verb, its examples as a block of code."""
    text, _, examples = cleandoc(verb.__doc__ or "").partition("Examples:\n")
    return f"{text.strip()}\n\n```bash\n{cleandoc(examples)}\n```"


def with_wide_steps(text: str) -> str:
    """Indent what belongs to a numbered step by four blanks; three are enough elsewhere."""
    lines, inside = [], False
    for line in text.splitlines():
        if _STEP.match(line):
            inside = True
        elif line and not line.startswith("   "):
            inside = False
        lines.append(f" {line}" if inside and line.startswith("   ") else line)
    return "\n".join(lines)
