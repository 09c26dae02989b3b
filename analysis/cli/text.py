"""Runs as plain text for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from litelvlm.analysis.pages.findings import finding, found_lines, missing_lines
from litelvlm.analysis.pages.report.claims import families, intervals_of
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.folder import read_record, read_summary
from litelvlm.analysis.runs.formatting import counted, interval, number
from litelvlm.analysis.runs.messages.reasons import exclusion_lines, undetermined_reason
from litelvlm.analysis.runs.miniature import is_miniature
from litelvlm.analysis.runs.verdicts import NOT_TESTED


def ending_text(folders: Sequence[Path], report: Path | None = None) -> str:
    """What runs found in plain sentences, what is missing, and where to read on.

    Args:
        folders: Of the runs.
        report: The page that shows them, if one was written.
    """
    records = [read_record(folder) for folder in folders]
    complete = [folder for folder, record in zip(folders, records, strict=True) if record.complete]
    tested = {claim.id for folder in complete for claim in read_summary(folder).claims}
    kinds = {
        f"{record.data['name']} {record.data['split']}, model {record.model['name']}"
        + (", a miniature" if is_miniature(record) else "")
        for record in records
    }
    lines = [f"Found on {'; '.join(sorted(kinds))}:", *(f"  {s}" for s in found_lines(folders))]
    missing = missing_lines(records, tested)
    lines += [f"Missing: {'. '.join(missing)}."] if missing else ["Missing: nothing."]
    lines += [f"Report: {report}"] if report else []
    return "\n".join([*lines, f"Details: litelvlm show -v {' '.join(map(str, folders))}", ""])


def ending(folders: Sequence[Path], report: Path | None = None) -> dict[str, object]:
    """What runs found, for programs: the same as ``ending_text`` says."""
    records = {folder: read_record(folder) for folder in folders}
    summaries = {f: read_summary(f) for f, record in records.items() if record.complete}
    tested = {claim.id for summary in summaries.values() for claim in summary.claims}
    found: dict[str, object] = {
        "runs": [
            {
                "folder": str(folder),
                "study": record.study,
                "state": record.state,
                "found": finding(summaries[folder]) if folder in summaries else None,
            }
            for folder, record in records.items()
        ],
        "missing": missing_lines(list(records.values()), tested),
    }
    return found | ({"report": str(report)} if report else {})


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
        return "".join(
            [*lines, "  no verdict yet: parts are missing; run the same command again\n"]
        )
    summary = read_summary(folder)
    lines += [claim_text(claim) for claim in summary.claims]
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
            "confirmatory hypotheses, p-values adjusted together by Holm's method "
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
