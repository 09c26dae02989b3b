"""Numbers, intervals and tables as text."""

import math
from collections.abc import Mapping
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
    heads, columns = [], []
    names = list(frame.columns)
    ends = {"low", "high"} <= set(names)
    centre = names[names.index("low") - 1] if ends else None
    for name in names:
        if ends and name in ("low", "high"):
            continue
        values = frame[name].tolist()
        if name == centre:
            heads.append(f"{name} [interval]")
            whole = zip(values, frame["low"], frame["high"], strict=True)
            columns.append(
                [Cell(f"{number(v)} {interval(low, high)}", True) for v, low, high in whole]
            )
        else:
            heads.append(str(name).replace("_", " "))
            columns.append([cell(v) for v in values])
    return Grid(title, tuple(heads), tuple(zip(*columns, strict=True)), csv)


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
