"""`litelvlm figure`: figures from saved rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from litelvlm.analysis.cli.options import Printing, require_writable


@dataclass(frozen=True, kw_only=True)
class Figure(Printing):
    """Draw figures from the saved tables of runs; no study runs again.

    Examples:
      litelvlm figure reversal_index --from runs/reversal-0123abcd
      litelvlm figure all --from runs/reversal-0123abcd runs/sweep-0123abcd --out figures/rendered
      litelvlm figure accuracy_ciou --from runs/sweep-0123abcd --style column.mplstyle
    """

    name: tyro.conf.PositionalRequiredArgs[str]
    """Name of a figure (`litelvlm ls figures` lists them), or "all" that these runs can give."""
    runs: Annotated[tuple[Path, ...], tyro.conf.arg(name="from")]
    """Run folders."""
    partial: bool = False
    """Also draw incomplete runs (--limit, missing shards, failed samples); the title says so."""
    style: tuple[str, ...] = ()
    """Matplotlib styles over the house style: names, or files such as column.mplstyle. A
    figure.figsize there is the size of every figure."""
    out: Path = Path("report/figures")
    """Folder for the PNG, SVG and PDF files."""

    def run(self) -> int:
        """Write the files and print their paths."""
        from litelvlm.figures.files import write_figures

        require_writable(self.out, folder=True)
        drawn = write_figures(
            self.name, self.runs, self.out, partial=self.partial, styles=self.style
        )
        found = {one.name: {kind: str(path) for kind, path in one.files.items()} for one in drawn}
        self.print_found(
            found, "".join(f"{path}\n" for files in found.values() for path in files.values())
        )
        return 0
