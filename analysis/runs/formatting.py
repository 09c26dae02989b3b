"""Numbers, intervals and tables as text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd


class Cell(NamedTuple):
    """One table cell."""

    text: str
    numeric: bool


@dataclass(frozen=True)
class Grid:
    """A table ready to print."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    csv: str = ""


def grid(title: str, frame: pd.DataFrame, csv: str = "") -> Grid:
    """A data frame as text; a mean and its two ends share a cell."""
    names = [str(name) for name in frame.columns]
    centre = names[names.index("low") - 1] if {"low", "high"} <= set(names) else None
    shown = [name for name in names if centre is None or name not in ("low", "high")]
    heads = [f"{name} [interval]" if name == centre else name.replace("_", " ") for name in shown]
    columns = {name: [cell(value) for value in frame[name].tolist()] for name in shown}
    if centre is not None:
        ends = zip(frame[centre], frame["low"], frame["high"], strict=True)
        columns[centre] = [Cell(f"{number(v)} {interval(*both)}", True) for v, *both in ends]
    return Grid(title, tuple(heads), tuple(zip(*columns.values(), strict=True)), csv)


def cell(value: object) -> Cell:
    """Any value as a table cell."""
    if isinstance(value, float):
        return Cell(number(value), True)
    return Cell(str(value), isinstance(value, int) and not isinstance(value, bool))


def number(value: float) -> str:
    """Three significant digits, or "undefined".

    Example:
        >>> number(0.123456), number(float("nan"))
        ('0.123', 'undefined')
    """
    return f"{value:.3g}" if math.isfinite(value) else "undefined"


def counted(reasons: Mapping[str, int]) -> str:
    """How many samples each reason took away.

    Example:
        >>> counted({"too small": 3, "no target": 1})
        '1 no target; 3 too small'
    """
    return "; ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))


def interval(low: float, high: float) -> str:
    """Both ends of an interval in brackets.

    Example:
        >>> interval(0.1, 0.25)
        '[0.1, 0.25]'
    """
    return (
        f"[{number(low)}, {number(high)}]"
        if math.isfinite(low) and math.isfinite(high)
        else "[no interval]"
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines of aligned columns, two spaces between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(f"{text:<{w}}" for text, w in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in rows
    )


def cells_in_words(lines: pd.DataFrame, value: str = "value") -> str:
    """A value of each method and budget with its interval, in the order of the lines.

    Args:
        lines: With the columns method, budget (nan where there is none), low, high and the value's.
        value: Name of that column.

    Example:
        >>> line = {"method": "random", "budget": 48.0, "value": 0.5, "low": 0.4, "high": 0.6}
        >>> cells_in_words(pd.DataFrame([line]))
        'random at 48 0.500 [0.4, 0.6]'
    """
    return ", ".join(
        f"{line['method']}{'' if pd.isna(line['budget']) else ' at {:g}'.format(line['budget'])} "
        f"{line[value]:.3f} {interval(line['low'], line['high'])}"
        for line in lines.to_dict("records")
    )
