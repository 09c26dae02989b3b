"""Runs as plain text for a terminal."""

from pathlib import Path

from analysis.claims import Claim
from analysis.formatting import counted, interval, number
from analysis.runs import read_record, read_summary


def claim_text(claim: Claim) -> str:
    """A verdict with the numbers it rests on."""
    found = f"{number(claim.estimate)} {interval(claim.low, claim.high)}, n = {claim.n} from {claim.n_images} images"
    found += f" (excluded: {counted(claim.excluded)})" if claim.excluded else ""
    null = f"null {number(claim.null)} ({claim.null_description})"
    return f"  {claim.id}  {claim.verdict.upper()}: {claim.statement}\n      {found}; {null}\n"


def run_text(folder: Path) -> str:
    """State, counts and verdicts of a run folder."""
    record = read_record(folder)
    counts = record.counts
    skipped = "".join(f", {n} skipped ({reason})" for reason, n in sorted(counts.skipped.items()))
    lines = [f"{folder}: {record.state}; {counts.done} of {counts.expected} done, {counts.failed} failed{skipped}\n"]
    if not record.complete:
        return "".join([*lines, "  no verdict yet: parts are missing; the same command goes on from there\n"])
    summary = read_summary(folder)
    lines += [claim_text(claim) for claim in summary.claims]
    return "".join([*lines, f"  {summary.reading}\n"])
