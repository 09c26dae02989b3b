"""The report: one offline page of verdicts, figures, tables and records, from saved rows.

The template engine escapes all text that comes from data (expressions, file names, messages). The
page's policy forbids every network source.
"""

import base64
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypedDict, runtime_checkable

import pandas as pd

from litelvlm.analysis.pages.findings import finding
from litelvlm.analysis.pages.rendering import page_environment
from litelvlm.analysis.pages.report_tables import (
    beside,
    compares_methods,
    published_tables,
    relative,
    tables_of,
)
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.exclusions import exclusion_lines
from litelvlm.analysis.runs.folder import read_record, read_summary
from litelvlm.analysis.runs.formatting import counted, interval, number
from litelvlm.analysis.runs.miniature import MINIATURE_NOTE, is_miniature
from litelvlm.analysis.runs.parts import read_rows
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.runs.told.reasons import undetermined_reason
from litelvlm.analysis.runs.verdicts import NOT_TESTED, confirmatory
from litelvlm.analysis.studies import published
from litelvlm.analysis.studies.table import get_study
from litelvlm.data.files import atomic_write

log = logging.getLogger(__name__)


@runtime_checkable
class DrawnFigure(Protocol):
    """What the page needs of a figure that was drawn."""

    @property
    def caption(self) -> str:
        """What it shows, with n and the kind of interval."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Format ("png", "svg", "pdf") to file."""


class Family(TypedDict):
    """The confirmatory hypotheses of one model on one split.

    Attributes:
        title: Names the model and the split.
        lines: Per hypothesis id, statement, verdict, reason, alone, found, adjusted and n, as text.
        problem: Why nothing could be adjusted; empty if it could.
    """

    title: str
    lines: list[dict[str, str]]
    problem: str


def build_report(
    runs: Sequence[Path], out: Path, pictures: Mapping[Path, Sequence[DrawnFigure]]
) -> Path:
    """Write ``index.html`` with the data it links to, and return its path.

    Args:
        runs: Run folders, complete or not; the page names missing parts.
        out: Folder of the report.
        pictures: Figures of each run folder.

    Raises:
        FileNotFoundError: If a folder holds no run.
        ValueError: If a record or a summary does not fit its schema.
    """
    records = {run: read_record(run) for run in runs}
    summaries = {
        run: read_summary(run) if record.complete else None for run, record in records.items()
    }
    miniature = any(is_miniature(record) for record in records.values())
    context = {
        "title": "Visual-token pruning in pixel grounding" + (" (miniature)" if miniature else ""),
        "miniature_note": MINIATURE_NOTE if miniature else "",
        "warnings": [text for run, record in records.items() for text in warnings_of(run, record)],
        "found": [
            ({"name": records[run].study, "anchor": anchor(records[run])}, finding(summary))
            for run, summary in summaries.items()
            if summary is not None
        ],
        "claims": [
            claim_row(records[run], claim)
            for run, summary in summaries.items()
            if summary is not None
            for claim in summary.claims
        ],
        "families": families(records, summaries),
        "runs": [
            run_view(run, records[run], summaries[run], out, pictures.get(run, ())) for run in runs
        ],
        "ours": [
            table
            for run, summary in summaries.items()
            if summary is not None and compares_methods(summary)
            for table in beside(summary, records[run].excluded)
        ],
        "published": {
            "statements": published.STATEMENTS,
            "tables": published_tables(),
        },
    }
    environment = page_environment()
    return atomic_write(out / "index.html", environment.get_template("report.html").render(context))


def run_view(
    run: Path,
    record: RunRecord,
    summary: Summary | None,
    out: Path,
    pictures: Sequence[DrawnFigure],
) -> dict[str, object]:
    """What the page shows of one run; its record, summary and rows are copied beside the page."""
    return {
        "name": anchor(record),
        "study": record.study,
        "question": get_study(record.study).question,
        "miniature": is_miniature(record),
        "interpretation": summary.interpretation if summary else "",
        "pictures": [picture_view(picture, out) for picture in pictures],
        "tables": tables_of(run, summary, out, record.excluded) if summary else [],
        "facts": facts(record),
        "failures": record.failures,
        "notes": [*record.notes, *exclusion_lines(record.excluded)],
        "links": copy_data(run, out),
    }


def picture_view(picture: DrawnFigure, out: Path) -> dict[str, object]:
    """A figure as data inside the page, with links to its files."""
    data = base64.b64encode(picture.files["svg"].read_bytes()).decode("ascii")
    return {
        "caption": picture.caption,
        "data": f"data:image/svg+xml;base64,{data}",
        "links": {kind: relative(path, out) for kind, path in picture.files.items()},
    }


def warnings_of(run: Path, record: RunRecord) -> list[str]:
    """What keeps a run from being a result."""
    found = []
    if not record.complete:
        done = f"{record.parts_done} of {record.n_parts} parts"
        found.append(f"{run.name}: {done} are there; run the same command again for the rest.")
    if record.limit is not None:
        part = f"limited to the first {record.limit} images of the split"
        found.append(f"{run.name}: {part}; it is only a sample of the result.")
    if record.failures:
        found.append(
            f"{run.name}: {record.counts.failed} samples failed; the run record below has the "
            "reasons."
        )
    return found


def claim_row(record: RunRecord, claim: Claim) -> dict[str, str]:
    """A claim with its numbers as text."""
    sides = " (one-sided)" if claim.one_sided else ""
    p_value = f", p = {number(claim.p_value)}{sides}" if math.isfinite(claim.p_value) else ""
    excluded = f"; excluded: {counted(claim.excluded)}" if claim.excluded else ""
    return {
        "id": claim.id,
        "statement": claim.statement,
        "verdict": claim.verdict,
        "reason": undetermined_reason(claim),
        "found": f"{number(claim.estimate)} {intervals_of(claim)}{p_value}",
        "method": claim.method,
        "generalises": claim.generalises,
        "null": "; ".join(
            filter(
                None,
                (
                    f"{number(claim.null)}: {claim.null_description}",
                    claim.equivalence,
                    claim.power,
                ),
            )
        ),
        "n": f"{claim.sample}{excluded}",
        "run": anchor(record),
        "study": record.study,
    }


def intervals_of(claim: Claim) -> str:
    """The interval over images and, where there is one, the wider one over categories too."""
    found = interval(claim.low, claim.high)
    if math.isfinite(claim.low_categories):
        wider = interval(claim.low_categories, claim.high_categories)
        return f"{found} over images, {wider} over images and categories"
    return found


def families(
    records: Mapping[Path, RunRecord], summaries: Mapping[Path, Summary | None]
) -> list[Family]:
    """Adjust the confirmatory hypotheses together, once per model and split.

    Where two runs test one hypothesis, the family holds the problem and no lines.
    """
    groups: dict[str, list[Claim]] = {}
    for run, summary in summaries.items():
        record = records[run]
        title = f"model {record.model['name']}, data {record.data['name']} {record.data['split']}"
        groups.setdefault(title, []).extend(summary.claims if summary else [])
    found: list[Family] = []
    for title, claims in groups.items():
        try:
            reasons = {
                claim.id: "; ".join(filter(None, (undetermined_reason(claim), claim.power)))
                for claim in claims
            }
            table = confirmatory(claims)
            lines = [family_line(line, reasons) for _, line in table.iterrows()]
            found.append({"title": title, "lines": lines, "problem": ""})
        except ValueError as error:
            found.append({"title": title, "lines": [], "problem": str(error)})
    return found


def family_line(line: "pd.Series[float]", reasons: Mapping[str, str]) -> dict[str, str]:
    """One line of the confirmatory hypotheses with its numbers as text.

    Args:
        line: Of the table.
        reasons: Claim id to why it is undetermined by itself, and what it could have shown.
    """
    told = {name: str(line[name]) for name in ("id", "statement", "verdict", "alone")}
    tested = told["verdict"] != NOT_TESTED
    found = f"{number(line['estimate'])} {interval(line['low'], line['high'])}"
    weaker = told["verdict"] == "undetermined" and told["alone"] == "supported"
    return told | {
        "reason": "its adjusted p-value is above 0.05" if weaker else reasons.get(told["id"], ""),
        "found": found if tested else "",
        "adjusted": number(line["p_holm"]) if math.isfinite(line["p_holm"]) else "",
        "n": f"{line['n']} from {line['n_images']} images" if tested else "",
    }


def facts(record: RunRecord) -> list[tuple[str, str]]:
    """The run record as labels and values."""
    counts = record.counts
    skipped = counted(counts.skipped) or "none"
    dirty = {True: " with uncommitted changes", False: "", None: ""}[record.dirty]
    return [
        ("State", record.state),
        ("Samples", f"{counts.expected} expected, {counts.done} done, {counts.failed} failed"),
        ("Skipped", skipped),
        ("Command", record.command),
        ("Protocol", f"{record.protocol}: {protocol_of(record.protocol).description}"),
        ("Model", joined(record.model)),
        ("Data", joined(record.data)),
        ("Seeds", joined(record.seeds)),
        ("Commit", f"{record.commit or 'unknown'}{dirty}"),
        ("Versions", joined({"python": record.python, **record.versions})),
        ("Platform", record.platform),
        ("Machine", joined(record.machine)),
        ("Determinism", joined(record.determinism)),
        ("Started, ended", f"{record.started}, {record.ended or 'still running'}"),
        ("Key", record.key),
    ]


def copy_data(run: Path, out: Path) -> dict[str, str]:
    """Copy record, summary and rows beside the page, and return the links by label."""
    links = {}
    for label, name in (
        ("record", "run.json"),
        ("configuration", "config.yaml"),
        ("summary", "summary.json"),
    ):
        if (run / name).is_file():
            path = atomic_write(out / "data" / run.name / name, (run / name).read_bytes())
            links[label] = relative(path, out)
    try:
        rows = read_rows(run)
    except FileNotFoundError:
        log.warning("%s has no rows yet", run.name)
        return links
    path = atomic_write(
        out / "data" / run.name / "rows.parquet", rows.to_parquet(index=False, compression="zstd")
    )
    return links | {f"rows ({len(rows)})": relative(path, out)}


def anchor(record: RunRecord) -> str:
    """Where a run stands on the page."""
    return f"{record.study}-{record.key[:12]}"


def joined(values: Mapping[str, object]) -> str:
    """A mapping in one line."""
    return ", ".join(f"{name} {value}" for name, value in values.items())
