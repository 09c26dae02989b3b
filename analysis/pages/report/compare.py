"""Runs of one study side by side: two models, two commits, two splits."""

from collections.abc import Mapping
from pathlib import Path

from litelvlm.analysis.pages.report.claims import interval_plot
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.studies.stories import shown

FIRST = 12
"""Claims of a comparison that stand open; further ones are folded."""
_MAIN = ("model", "data", "protocol", "limit")


def comparisons(
    records: Mapping[Path, RunRecord], summaries: Mapping[Path, Summary | None]
) -> list[dict[str, object]]:
    """One comparison per study that several finished runs have; a claim a line.

    Returns:
        "study"; "heads", what tells its runs apart; "lines" (see ``_line``); and "differ", how many
        claims have different verdicts.
    """
    labels = run_labels(records)
    groups: dict[str, dict[str, Summary]] = {}
    for run, summary in summaries.items():
        if summary is not None:
            groups.setdefault(records[run].study, {})[labels[run]] = summary
    found: list[dict[str, object]] = []
    for study, group in groups.items():
        if len(group) > 1:
            ids = dict.fromkeys(claim.id for summary in group.values() for claim in summary.claims)
            lines = [_line(id, list(group.values())) for id in ids]
            differ = sum(bool(line["differ"]) for line in lines)
            found.append({"study": study, "heads": list(group), "lines": lines, "differ": differ})
    return found


def _line(id: str, summaries: list[Summary]) -> dict[str, object]:
    """One claim in every run.

    Returns:
        Its "id" and "statement"; "sides", one per run with verdict, value and a plot on an axis
        that all share, None where a run does not have the claim; and "differ", whether the verdicts
        are not all the same.
    """
    claims = [next((c for c in summary.claims if c.id == id), None) for summary in summaries]
    there = [claim for claim in claims if claim is not None]
    sides = [
        claim
        and {
            "verdict": claim.verdict,
            "value": shown(claim),
            "plot": interval_plot(claim, there),
        }
        for claim in claims
    ]
    differ = len({claim.verdict for claim in there}) > 1
    return {"id": id, "statement": there[0].statement, "sides": sides, "differ": differ}


def run_labels(records: Mapping[Path, RunRecord]) -> dict[Path, str]:
    """What tells each run from the others of its study; empty where it is the only one.

    The model, the data, the split, the protocol, the number of images, who made the split, the
    weights, the content of the data, the commit and the start are tried in this order; all of the
    first five that differ are named, the others only if need be.
    """
    found = {}
    for run, record in records.items():
        twins = [facets(other) for other in records.values() if other.study == record.study]
        names = list[str]()
        for name in twins[0]:
            distinct = len({tuple(twin[n] for n in names) for twin in twins}) == len(twins)
            if len({twin[name] for twin in twins}) > 1 and (name in _MAIN or not distinct):
                names.append(name)
        mine = facets(record)
        found[run] = ", ".join(mine[name] for name in names)
    return found


def study_labels(records: Mapping[Path, RunRecord]) -> dict[Path, str]:
    """The study of each run, with what tells it from others of its study."""
    return {
        run: ", ".join(filter(None, (records[run].study, label)))
        for run, label in run_labels(records).items()
    }


def facets(record: RunRecord) -> dict[str, str]:
    """What may tell two runs of a study apart, as text."""
    return {
        "model": record.model["name"],
        "data": f"{record.data['name']} {record.data['split']}",
        "protocol": f"protocol {record.protocol}",
        "limit": f"{f'first {record.limit}' if record.limit else 'all'} {record.samples}",
        "split_by": f"split by {record.data['split_by']}",
        "weights": f"weights {record.model['digest'][:12]}",
        "content": f"content {record.data['digest'][:12]}",
        "commit": f"commit {(record.commit or 'unknown')[:9]}{' changed' if record.dirty else ''}",
        "started": f"run of {record.started}",
        "key": f"key {record.key[:12]}",
    }
