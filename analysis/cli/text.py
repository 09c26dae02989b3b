"""Runs as plain text for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from litelvlm.analysis.cli.method_lines import method_text
from litelvlm.analysis.pages.findings import finding, missing_lines
from litelvlm.analysis.pages.report.claims import families, intervals_of
from litelvlm.analysis.pages.report.compare import study_labels
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.folder import read_record, read_summary
from litelvlm.analysis.runs.formatting import counted, interval, number
from litelvlm.analysis.runs.messages.reasons import (
    exclusion_lines,
    exclusions_in_short,
    undetermined_reason,
)
from litelvlm.analysis.runs.messages.unfinished import unfinished_text
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.record import RunRecord
from litelvlm.analysis.runs.verdicts import NOT_TESTED
from litelvlm.analysis.studies.stories import leading


def ending_text(folders: Sequence[Path], report: Path | None = None) -> str:
    """What runs found in plain sentences, what is missing, and where to read on.

    Args:
        folders: Of the runs.
        report: The page that shows them, if one was written.
    """
    records, found, missing = _ending(folders)
    kinds = {
        f"{record.data['name']} {record.data['split']}, model {record.model['name']}"
        + (", a miniature" if is_miniature(record) else "")
        for record in records.values()
    }
    labels = study_labels(records)
    width = max(map(len, labels.values()), default=0)
    lines = [f"Found on {'; '.join(sorted(kinds))}:"]
    lines += [f"  {labels[run]:<{width}}  {told}" for run, told in found.items()]
    lines += [f"Missing: {'. '.join(missing)}." if missing else "Missing: nothing."]
    lines += [f"Report: {report}"] if report else []
    return "\n".join([*lines, f"Details: litelvlm show -v {' '.join(map(str, folders))}", ""])


def ending(folders: Sequence[Path], report: Path | None = None) -> dict[str, object]:
    """What runs found, for programs: the same as ``ending_text`` says."""
    records, found, missing = _ending(folders)
    runs = [
        {
            "folder": str(run),
            "study": record.study,
            "state": record.state,
            "found": found.get(run),
        }
        for run, record in records.items()
    ]
    return {"runs": runs, "missing": missing} | ({"report": str(report)} if report else {})


def _ending(folders: Sequence[Path]) -> tuple[dict[Path, RunRecord], dict[Path, str], list[str]]:
    """Records by run, what each whole run found and on what, and what is missing of them all."""
    records = {folder: read_record(folder) for folder in folders}
    summaries = {f: read_summary(f) for f, record in records.items() if record.complete}
    tested = {claim.id for summary in summaries.values() for claim in summary.claims}
    found = {
        run: f"{finding(summary)}{f' ({lead.sample})' if lead else ''}"
        for run, summary in summaries.items()
        for lead in [leading(summary.study, summary.claims)]
    }
    labels = study_labels(records)
    left_out = [
        f"{labels[run]} {line}"
        for run, record in records.items()
        for line in exclusions_in_short(record.excluded)
    ]
    return records, found, [*missing_lines(list(records.values()), tested), *left_out]


def claim_text(claim: Claim) -> str:
    """A claim with its verdict and its numbers."""
    found = f"{number(claim.estimate)} {intervals_of(claim)}, n = {claim.sample}"
    found += f" (excluded: {counted(claim.excluded)})" if claim.excluded else ""
    null = f"null {number(claim.null)} ({claim.null_description})"
    null += f"; {claim.equivalence}" if claim.equivalence else ""
    null += f"; {claim.power}" if claim.power else ""
    scope = f"      generalises over {claim.generalises}\n" if claim.generalises else ""
    reason = undetermined_reason(claim)
    verdict = f"{claim.verdict.upper()}{f' ({reason})' if reason else ''}"
    return f"  {claim.id}  {verdict}: {claim.statement}\n      {found}; {null}\n{scope}"


def headline_text(claim: Claim) -> str:
    """A claim in one line: verdict, statement, number, and why it is open if it is."""
    told = f"{claim.verdict.upper()}: {claim.statement} Measured: {number(claim.estimate)}"
    if claim.high > claim.low:
        told += f" {interval(*claim.widest)}"
    return "; ".join(filter(None, (told, undetermined_reason(claim), claim.power)))


def run_text(folder: Path) -> str:
    """State, counts and verdicts of a run folder."""
    record = read_record(folder)
    lines = [f"{folder}: {record.state_in_words}; {record.counts.told()}\n"]
    if not record.complete:
        return "".join([*lines, f"  no verdict yet: {unfinished_text(record)}\n"])
    summary = read_summary(folder)
    lines += [claim_text(claim) for claim in summary.claims]
    lines += [method_text(summary)]
    lines += [f"  note: {note}\n" for note in (*record.notes, *exclusion_lines(record.excluded))]
    return "".join([*lines, f"  {summary.interpretation}\n"])


def confirmatory_text(folders: Sequence[Path]) -> str:
    """The confirmatory hypotheses, adjusted per model and split; empty if none was tested."""
    records = {folder: read_record(folder) for folder in folders}
    summaries = {
        folder: read_summary(folder) if record.complete else None
        for folder, record in records.items()
    }
    parts = []
    for family in families(records, summaries):
        title = (
            "confirmatory hypotheses, p-values (two-sided unless the claim has one side) adjusted "
            "together by Holm's method "
            f"({family['title']})\n"
        )
        tested = [line for line in family["lines"] if line["verdict"] != NOT_TESTED]
        if family["problem"]:
            parts += ["\n", title, f"  not adjusted: {family['problem']}\n"]
        elif tested:
            untested = ", ".join(
                line["id"] for line in family["lines"] if line["verdict"] == NOT_TESTED
            )
            parts += [
                "\n",
                title,
                *map(_family_line, tested),
                f"  {NOT_TESTED}: {untested}\n" if untested else "",
            ]
    return "".join(parts)


def _family_line(line: dict[str, str]) -> str:
    adjusted = f"adjusted p {line['adjusted']}" if line["adjusted"] else "no p-value"
    reason = f"      {line['reason']}\n" if line["reason"] else ""
    return (
        f"  {line['id']}  {line['verdict'].upper()} (alone: {line['alone']}), {adjusted}: "
        f"{line['statement']}\n{reason}"
    )
