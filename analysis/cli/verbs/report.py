"""`litelvlm report`: one offline page from run folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Printing


@dataclass(frozen=True, kw_only=True)
class Report(Printing):
    """Write one offline page with the verdicts, tables, figures and records of runs.

    Examples:
      litelvlm report runs/reversal-0123abcd runs/sink-0123abcd runs/sweep-0123abcd
      litelvlm report runs/sweep-0123abcd --out sweep-report
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    out: Path = Path("report")
    """Folder of the report."""
