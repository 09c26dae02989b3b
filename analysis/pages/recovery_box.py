"""The equations of the recovery step for a page, from the docstring of the method that does it.

``python -m litelvlm.analysis.pages.recovery_box docs/ablations.md`` writes them into the page,
between its two markers. Code and page therefore cannot differ.
"""

import sys
from inspect import cleandoc
from pathlib import Path

from litelvlm.data.files import atomic_write
from litelvlm.pruning.methods.litelvlm import LiteLVLM

BEGIN, END = "<!-- recovery -->", "<!-- end of recovery -->"
_FIRST, _BEHIND = "Recovery of context tokens", "Source:"


def recovery_box() -> str:
    """The part of the docstring that states the recovery step, its equations as blocks.

    Raises:
        ValueError: If the docstring no longer states it.
    """
    text = cleandoc(LiteLVLM.__doc__ or "")
    if not text.count(_FIRST) == text.count(_BEHIND) == 1:
        raise ValueError(
            f"the docstring of LiteLVLM must hold {_FIRST!r} and, behind it, {_BEHIND!r} once"
        )
    lines = text[text.index(_FIRST) : text.index(_BEHIND)].strip().splitlines()
    box: list[str] = []
    for place, line in enumerate(lines):
        inside = line.startswith("    ")
        if inside and not lines[place - 1].startswith("    "):
            box.append("```text")
        box.append(line.removeprefix("    "))
        if inside and (place + 1 == len(lines) or not lines[place + 1].startswith("    ")):
            box.append("```")
    return "\n".join(box)


def with_box(page: str) -> str:
    """A page with the equations between its markers.

    Raises:
        ValueError: If it has not both markers once.
    """
    if not page.count(BEGIN) == page.count(END) == 1:
        raise ValueError(f"the page must hold {BEGIN} and {END} once each")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{recovery_box()}\n{END}{rest.partition(END)[2]}"


def main(page: str) -> None:
    """Write the equations into a page."""
    path = Path(page)
    atomic_write(path, with_box(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(*sys.argv[1:])
