"""Where a method comes from, for tables of methods."""

from dataclasses import dataclass
from typing import Literal

Confidence = Literal["A", "B", "C", "-"]


@dataclass(frozen=True)
class Origin:
    """Paper, code licence, and how closely a method here follows its authors.

    Attributes:
        source: Paper, as "arXiv 2412.01818", or "this library".
        licence: Licence of the official code: its SPDX name, "none" if the code carries none, "no
            code" if none was found, "-" for a method of this library. Formulas were taken from it,
            never text.
        confidence: "A": written after the official code, line by line. "B": after parts of it or
            two independent sources. "C": our reading of a paper, so that numbers are not the
            authors'. "-": a method of this library.
    """

    source: str
    licence: str
    confidence: Confidence


OURS = Origin("this library", "-", "-")
