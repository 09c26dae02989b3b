"""`litelvlm figure`: figures from saved rows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from litelvlm.analysis.cli.options import Common, require_writable


@dataclass(frozen=True, kw_only=True)
class Figure(Common):
    """Draw a figure, or all figures, from the saved tables of runs; nothing is computed anew.

    Examples:
      litelvlm figure reversal_index --from runs/reversal-0123abcd
      litelvlm figure all --from runs/reversal-0123abcd runs/sweep-0123abcd --out figures/rendered
    """

    name: tyro.conf.PositionalRequiredArgs[str]
    """A figure's name (`litelvlm ls figures` lists them), or "all" that the runs have the rows for."""
    runs: Annotated[tuple[Path, ...], tyro.conf.arg(name="from")]
    """Run folders."""
    partial: bool = False
    """Draw from runs that are not whole (--limit, shards, failed samples); the title says so."""
    out: Path = Path("report/figures")
    """Folder for the PNG, SVG and PDF files."""

    def run(self) -> int:
        """Write the files and print their paths."""
        from litelvlm.figures.files import write_figures

        require_writable(self.out, folder=True)
        for picture in write_figures(self.name, self.runs, self.out, partial=self.partial):
            sys.stdout.writelines(f"{path}\n" for path in picture.files.values())
        return 0
