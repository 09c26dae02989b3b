"""What a run found in one plain sentence with one number, and what is missing from several runs."""

from collections.abc import Sequence

from litelvlm.analysis.runs.messages.unfinished import unfinished_text
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.studies.confirmatory import HYPOTHESES
from litelvlm.analysis.studies.stories import told


def finding(summary: Summary) -> str:
    """The main result of a finished run: one sentence, one number with its interval.

    A study without a sentence of its own is told by its leading claim.
    """
    nothing = summary.interpretation or "Nothing was claimed; see its tables."
    return told(summary.study, summary.claims) or nothing


def missing_lines(records: Sequence[RunRecord], tested: set[str]) -> list[str]:
    """What keeps runs from being the whole answer, in a few sentences; none if nothing does.

    Args:
        records: Of the runs.
        tested: Ids of the claims that they hold.
    """
    found = []
    found += [
        unfinished_text(record, f"parts of {record.study}")
        for record in records
        if not record.complete
    ]
    limited = [record for record in records if record.limit]
    if limited:
        parts = dict.fromkeys(f"{record.limit} {record.samples}" for record in limited)
        found.append(
            f"only the first {' or '.join(parts)} of those that a study takes were read (--limit); "
            "this is a sample, not the result"
        )
    failed = sum(record.counts.failed for record in records)
    if failed:
        found.append(f"{failed} samples failed; `litelvlm show -v` names each")
    untested = [id for id in HYPOTHESES if id not in tested]
    if untested and len(records) > 1:
        found.append(
            f"{', '.join(untested)} of the eight hypotheses were not tested; `litelvlm study all` "
            "asks the other studies too"
        )
    return found
