"""`litelvlm audit`: measure if asked, then print or write."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from litelvlm.analysis.cli.options import require_writable
from litelvlm.analysis.cli.verbs.audit import Audit
from litelvlm.analysis.cli.work.loading import data_of, model_of
from litelvlm.analysis.pages.audit.measured import (
    AuditResults,
    as_json,
    bundled,
    measure,
    read_measured,
)
from litelvlm.analysis.pages.audit.outside import outside_data, outside_page, outside_text
from litelvlm.analysis.pages.audit.page import audit_page
from litelvlm.analysis.pages.audit.statements import Audited, chosen
from litelvlm.analysis.pages.audit.text import audit_data, audit_text
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.data.files import atomic_write
from litelvlm.models.base import GroundingModel


def run(verb: Audit) -> int:
    """Measure if asked, then print or write.

    Raises:
        ValueError: If the audit has no such method, or options contradict each other.
        FileNotFoundError: If the file of measured differences is missing.
    """
    if verb.outside and verb.measure:
        raise ValueError("--outside prints numbers of others; leave out --measure")
    if verb.pages is not None and verb.method is not None:
        raise ValueError("--pages writes the pages of all methods; leave out --method")
    tables = chosen(verb.method)
    measured = measure_all(verb, tables) if verb.measure else stored(verb)
    if verb.pages is not None:
        return write_pages(verb, tables, measured)
    if verb.outside:
        verb.print_found(outside_data(), outside_text())
    else:
        verb.print_found(audit_data(tables, measured), audit_text(tables, measured))
    return 0


def write_pages(verb: Audit, tables: Sequence[Audited], measured: AuditResults | None) -> int:
    """Write both pages and print their paths."""
    folder = verb.pages or Path()
    require_writable(folder, folder=True)
    written = (
        atomic_write(folder / "audit.md", audit_page(tables, measured)),
        atomic_write(folder / "outside-numbers.md", outside_page()),
    )
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


def stored(verb: Audit) -> AuditResults | None:
    """Differences that were measured before; None where none are bundled."""
    if verb.numbers is None and not bundled().is_file():
        return None
    return read_measured(verb.numbers or bundled())


def measure_all(verb: Audit, tables: Sequence[Audited]) -> AuditResults:
    """Compute what is missing, and keep the differences in a file."""
    if verb.shard != "1/1":
        raise ValueError(f"--shard {verb.shard}: the audit computes whole sweeps; leave it out")
    target = verb.numbers or verb.out / "audit.json"
    require_writable(verb.out, folder=True)
    require_writable(target, folder=False)
    make_deterministic(verb.seed)  # before the model: it sets what CUDA reads when it starts
    data = data_of(verb)

    def load(options: tuple[str, ...]) -> GroundingModel:
        return model_of(replace(verb, options=(*verb.options, *options)))

    measured = measure(
        tables,
        load,
        data,
        verb.budgets,
        verb.out,
        limit=verb.limit,
        seed=verb.seed,
        accept_versions=verb.accept_versions,
    )
    atomic_write(target, as_json(measured))
    sys.stderr.write(f"differences: {target}\n")
    return measured
