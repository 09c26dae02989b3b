"""`litelvlm audit`: papers against released code, and the numbers of others beside ours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from litelvlm.analysis.cli.options import Printing, RunOptions, require_writable


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

    def run(self) -> int:
        """Measure if asked, then print.

        Raises:
            ValueError: If the audit has no such method, or options contradict each other.
            FileNotFoundError: If the file of measured differences is missing.
        """
        from litelvlm.analysis.pages.audit.entries import chosen, entries
        from litelvlm.analysis.pages.audit.measure import BUNDLED, AuditResults
        from litelvlm.analysis.pages.audit.printed import audit_data, audit_text, outside_text

        if self.outside:
            if self.measure:
                raise ValueError("--outside prints numbers of others; leave out --measure")
            numbers = entries().number
            self.print_found([one.model_dump() for one in numbers], outside_text(numbers))
            return 0
        tables, file = chosen(self.method), self.numbers or BUNDLED
        if self.measure:
            file = self.measure_all()
        elif not file.is_file():
            raise FileNotFoundError(
                f"{file} does not exist; litelvlm audit --measure --numbers {file} makes it"
            )
        measured = AuditResults.model_validate_json(file.read_text(encoding="utf-8"))
        self.print_found(audit_data(tables, measured), audit_text(tables, measured))
        return 0

    def measure_all(self) -> Path:
        """Compute what is missing; the file that keeps the differences.

        Raises:
            ValueError: If a share of the parts is asked for.
        """
        from litelvlm.analysis.cli.actions.loading import data_of, model_of
        from litelvlm.analysis.pages.audit.entries import chosen
        from litelvlm.analysis.pages.audit.measure import measure
        from litelvlm.analysis.runs.origin.determinism import make_deterministic
        from litelvlm.data.files import atomic_write

        if self.shard != "1/1":
            raise ValueError(f"--shard {self.shard}: the audit computes whole sweeps; leave it out")
        target = self.numbers or self.out / "audit.json"
        require_writable(self.out, folder=True)
        require_writable(target, folder=False, option="--numbers")
        make_deterministic(self.seed)  # before the model: it sets what CUDA reads when it starts
        measured = measure(
            chosen(self.method),
            lambda options: model_of(replace(self, options=(*self.options, *options))),
            data_of(self),
            self.budgets,
            self.out,
            limit=self.limit,
            seed=self.seed,
            accept_versions=self.accept_versions,
        )
        sys.stderr.write(f"differences: {target}\n")
        return atomic_write(target, measured.model_dump_json(indent=1) + "\n")

    def files_written(self) -> Sequence[Path]:
        """The differences, where they are measured."""
        return (self.numbers,) if self.measure and self.numbers else ()
