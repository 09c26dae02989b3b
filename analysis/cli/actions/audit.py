"""`litelvlm audit`: measure if asked, then print."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from litelvlm.analysis.cli.actions.loading import data_of, model_of
from litelvlm.analysis.cli.options import require_writable
from litelvlm.analysis.cli.verbs.audit import Audit
from litelvlm.analysis.pages.audit.entries import Audited, chosen
from litelvlm.analysis.pages.audit.measure import BUNDLED, AuditResults, measure, read_measured
from litelvlm.analysis.pages.audit.outside import outside_data, outside_text
from litelvlm.analysis.pages.audit.printed import audit_data, audit_text
from litelvlm.analysis.runs.origin.determinism import make_deterministic
from litelvlm.data.files import atomic_write
from litelvlm.models.base import GroundingModel


def run(verb: Audit) -> int:
    """Measure if asked, then print.

    Raises:
        ValueError: If the audit has no such method, or options contradict each other.
        FileNotFoundError: If the file of measured differences is missing.
    """
    if verb.outside and verb.measure:
        raise ValueError("--outside prints numbers of others; leave out --measure")
    if verb.outside:
        verb.print_found(outside_data(), outside_text())
        return 0
    tables = chosen(verb.method)
    measured = measure_all(verb, tables) if verb.measure else read_measured(verb.numbers or BUNDLED)
    verb.print_found(audit_data(tables, measured), audit_text(tables, measured))
    return 0


def measure_all(verb: Audit, tables: Sequence[Audited]) -> AuditResults:
    """Compute what is missing, and keep the differences in a file."""
    if verb.shard != "1/1":
        raise ValueError(f"--shard {verb.shard}: the audit computes whole sweeps; leave it out")
    target = verb.numbers or verb.out / "audit.json"
    require_writable(verb.out, folder=True)
    require_writable(target, folder=False)
    make_deterministic(verb.seed)  # before the model: it sets what CUDA reads when it starts

    def load(options: tuple[str, ...]) -> GroundingModel:
        return model_of(replace(verb, options=(*verb.options, *options)))

    measured = measure(
        tables,
        load,
        data_of(verb),
        verb.budgets,
        verb.out,
        limit=verb.limit,
        seed=verb.seed,
        accept_versions=verb.accept_versions,
    )
    atomic_write(target, measured.model_dump_json(indent=1) + "\n")
    sys.stderr.write(f"differences: {target}\n")
    return measured
