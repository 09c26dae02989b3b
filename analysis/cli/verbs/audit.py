"""`litelvlm audit`: papers against released code, and the numbers of others beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from litelvlm.analysis.cli.options import Printing, RunOptions


@dataclass(frozen=True, kw_only=True)
class Audit(RunOptions, Printing):
    """Compare what papers say with what their released code does, and measure the difference.

    Each entry names the statement, where the paper makes it, what the code does (repository, file,
    place, commit) and whether both agree. Where both readings exist here, a paired difference of
    cIoU between them stands beside it.

    --measure computes these differences on the model and data that the options name: a sweep per
    protocol and model option, whose finished parts are kept. --outside prints the numbers of others
    that ours must stand beside.

    Examples:
      litelvlm audit
      litelvlm audit --method litelvlm
      litelvlm audit --outside
      litelvlm audit --measure --limit 24 --budgets 48 16
      litelvlm audit --measure --model GLAMM --data REFER_SEGM --dataset refcoco --limit 200
    """

    method: str | None = None
    """One method of the audit (default: all)."""
    measure: bool = False
    """Compute the differences between the two readings of every statement that has two."""
    budgets: tuple[int | float, ...] | None = None
    """Tokens to keep when measuring, or shares from 0 to 1 (default: a third and a ninth)."""
    numbers: Path | None = None
    """File of measured differences, read, or written by --measure (default: those bundled)."""
    outside: bool = False
    """Print the outside numbers instead."""
