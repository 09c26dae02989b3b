"""Conditions of a training in words that fit beside an axis."""

import re
from textwrap import fill

WIDTH = 30
"""Characters of a line."""


def cell_label(cell: str) -> str:
    """What a cell of the family changes; of several changes their names alone, without values.

    Example:
        >>> cell_label("text_depth-8"), cell_label("scope-object_filler-20")
        ('text depth-8', 'scope + filler')
    """
    names = [name.replace("_", " ") for name in re.findall(r"([a-z]\w*?)-[^_]+", cell)]
    return fill(" + ".join(names), WIDTH) if len(names) > 1 else cell.replace("_", " ")
