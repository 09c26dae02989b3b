"""`litelvlm audit`: papers against released code, and the numbers of others beside ours."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from litelvlm.analysis.cli.options import Printing, RunOptions, require_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litelvlm.analysis.pages.audit.measured import Measured
    from litelvlm.analysis.pages.audit.statements import Audited
    from litelvlm.models.base import GroundingModel


@dataclass(frozen=True, kw_only=True)
class Audit(RunOptions, Printing):
    """Compare what papers say with what their released code does, and measure the difference.

    Each entry names the statement, where the paper makes it, what the code does (repository, file,
    place, commit) and whether both agree. Where both readings exist here, a paired difference of
    cIoU between them stands beside it.

    --measure computes these differences on the model and data that the options name: a sweep per
    protocol and model option, whose finished parts are kept. --outside prints the numbers of others
    that ours must stand beside. --pages writes both pages into a folder.

    Examples:
      litelvlm audit
      litelvlm audit --method litelvlm
      litelvlm audit --outside
      litelvlm audit --measure --limit 24 --budgets 48 16
      litelvlm audit --measure --model GLAMM --data REFER_SEGM --dataset refcoco --limit 200
      litelvlm audit --pages docs
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
    pages: Path | None = None
    """Folder to write audit.md and outside-numbers.md into."""

    def run(self) -> int:
        """Measure if asked, then print or write.

        Raises:
            ValueError: If the audit has no such method, or options contradict each other.
            FileNotFoundError: If the file of measured differences is missing.
        """
        from litelvlm.analysis.pages.audit.outside import outside_data, outside_text
        from litelvlm.analysis.pages.audit.statements import chosen
        from litelvlm.analysis.pages.audit.text import audit_data, audit_text

        if self.outside and self.measure:
            raise ValueError("--outside prints numbers of others; leave out --measure")
        if self.pages is not None and self.method is not None:
            raise ValueError("--pages writes the pages of all methods; leave out --method")
        tables = chosen(self.method)
        measured = self.measure_all(tables) if self.measure else self.stored()
        if self.pages is not None:
            return self.write_pages(tables, measured)
        if self.outside:
            self.print_found(outside_data(), outside_text())
        else:
            self.print_found(audit_data(tables, measured), audit_text(tables, measured))
        return 0

    def write_pages(self, tables: Sequence[Audited], measured: Measured | None) -> int:
        """Write both pages and print their paths."""
        from litelvlm.analysis.pages.audit.outside import outside_page
        from litelvlm.analysis.pages.audit.page import audit_page
        from litelvlm.data.files import atomic_write

        folder = self.pages or Path()
        require_writable(folder, folder=True)
        written = (
            atomic_write(folder / "audit.md", audit_page(tables, measured)),
            atomic_write(folder / "outside-numbers.md", outside_page()),
        )
        sys.stdout.write("".join(f"{path}\n" for path in written))
        return 0

    def stored(self) -> Measured | None:
        """Differences that were measured before; None where none are bundled."""
        from litelvlm.analysis.pages.audit.measured import bundled, read_measured

        if self.numbers is None and not bundled().is_file():
            return None
        return read_measured(self.numbers or bundled())

    def measure_all(self, tables: Sequence[Audited]) -> Measured:
        """Compute what is missing, and keep the differences in a file."""
        from litelvlm.analysis.pages.audit.measured import as_json, measure
        from litelvlm.analysis.runs.origin.determinism import make_deterministic
        from litelvlm.data.files import atomic_write

        if self.shard != "1/1":
            raise ValueError(f"--shard {self.shard}: the audit computes whole sweeps; leave it out")
        target = self.numbers or self.out / "audit.json"
        require_writable(self.out, folder=True)
        require_writable(target, folder=False)
        make_deterministic(self.seed)  # before the model: it sets what CUDA reads when it starts
        data = self.load_data()

        def load(options: tuple[str, ...]) -> GroundingModel:
            return replace(self, options=(*self.options, *options)).load_model()

        measured = measure(
            tables,
            load,
            data,
            self.budgets,
            self.out,
            limit=self.limit,
            seed=self.seed,
            accept_versions=self.accept_versions,
        )
        atomic_write(target, as_json(measured))
        sys.stderr.write(f"differences: {target}\n")
        return measured
