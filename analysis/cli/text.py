"""Runs as plain text for a terminal."""

from collections.abc import Sequence
from pathlib import Path

from litelvlm.analysis.pages.report import families, intervals_of
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.exclusions import exclusion_lines
from litelvlm.analysis.runs.folder import read_record, read_summary
from litelvlm.analysis.runs.formatting import counted, number
from litelvlm.analysis.runs.verdicts import NOT_TESTED


def claim_text(claim: Claim) -> str:
    """A claim with its verdict and its numbers."""
    found = f"{number(claim.estimate)} {intervals_of(claim)}, n = {claim.sample}"
    found += f" (excluded: {counted(claim.excluded)})" if claim.excluded else ""
    null = f"null {number(claim.null)} ({claim.null_description})"
    null += f"; {claim.equivalence}" if claim.equivalence else ""
    null += f"; {claim.power}" if claim.power else ""
    scope = f"      generalises over {claim.generalises}\n" if claim.generalises else ""
    verdict = f"  {claim.id}  {claim.verdict.upper()}: {claim.statement}\n"
    return f"{verdict}      {found}; {null}\n{scope}"


def run_text(folder: Path) -> str:
    """State, counts and verdicts of a run folder."""
    record = read_record(folder)
    lines = [f"{folder}: {record.state_in_words}; {record.counts.told()}\n"]
    if not record.complete:
        return "".join(
            [*lines, "  no verdict yet: parts are missing; the same command goes on from there\n"]
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
    return (
        f"  {line['id']}  {line['verdict'].upper()} (alone: {line['alone']}), {adjusted}: "
        f"{line['statement']}\n"
    )
