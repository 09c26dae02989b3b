"""`litelvlm report`: one offline page from run folders."""

from __future__ import annotations

from collections.abc import Sequence
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
        if not self.runs:
            raise ValueError("name at least one run folder, for example: litelvlm report runs/*")
        require_writable(self.out, folder=True)
        page = write_report(self.runs, self.out)
        self.print_found({"report": str(page)}, f"{page}\n")
        return 0


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Draw the figures of the runs and write the page that shows them.

    Returns:
        Path of `index.html`.
    """
    from litelvlm.analysis.pages.report.page import build_report
    from litelvlm.analysis.runs.folder import read_record
    from litelvlm.figures.files import write_figures

    finished = [run for run in runs if read_record(run).complete]
    pictures = {
        run: write_figures("all", [run], out / "figures" / run.name, partial=True)
        for run in finished
    }
    return build_report(runs, out, pictures)
