"""`litelvlm report`: one offline page from run folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from litelvlm.analysis.cli.options import Printing, require_writable


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

    def run(self) -> int:
        """Write the report and print its path."""
        from litelvlm.analysis.cli.actions.report import write_report

        if not self.runs:
            raise ValueError("name at least one run folder, for example: litelvlm report runs/*")
        require_writable(self.out, folder=True)
        page = write_report(self.runs, self.out)
        self.print_found({"report": str(page)}, f"{page}\n")
        return 0
