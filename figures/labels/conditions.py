"""Conditions of a training in words that fit beside an axis."""

import re
from textwrap import fill

WIDTH = 44
"""Characters of a line."""


def cell_label(cell: str) -> str:
    """What a cell of the trainings changes, with values where the cell names them.

    Example:
        >>> cell_label("text_depth-8"), cell_label("scope-object_filler-20")
        ('text depth 8', 'scope object + filler 20')
        >>> cell_label("pooling+registers")
        'pooling + registers'
    """
    changes = re.findall(r"([a-z]\w*?)-([^_]+)", cell)
    names = [f"{name.strip('_')} {value}" for name, value in changes] or cell.split("+")
    # A line is not broken inside a condition.
    joined = " + ".join(name.replace("_", " ").replace(" ", "\N{NO-BREAK SPACE}") for name in names)
    return fill(joined, WIDTH).replace("\N{NO-BREAK SPACE}", " ")
