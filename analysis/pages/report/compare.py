"""Runs of one study side by side: two models, two commits, two splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from litelvlm.analysis.pages.report.claims import IntervalPlot, interval_plot
from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.formatting import interval, number
from litelvlm.analysis.runs.record import RunRecord, Summary

FIRST = 12
"""Claims of a comparison that stand open; further ones are folded."""


@dataclass(frozen=True)
class ComparedSide:
    """A claim in one of the runs.

    Attributes:
        verdict: Of the claim there.
        value: Estimate with its widest interval.
        plot: On an axis that all runs share; None without an interval.
    """

    verdict: str
    value: str
    plot: IntervalPlot | None


@dataclass(frozen=True)
class ComparedClaim:
    """One claim in every run.

    Attributes:
        id: Of the claim.
        statement: Of the claim.
        sides: One per run; None where a run does not have the claim.
        differ: Whether the verdicts are not all the same.
    """

    id: str
    statement: str
    sides: tuple[ComparedSide | None, ...]
    differ: bool


@dataclass(frozen=True)
class StudyComparison:
    """Runs of one study side by side.

    Attributes:
        study: Its name.
        heads: What tells the runs apart.
        lines: Claims, the hypotheses and differing verdicts as they come.
        differ: How many claims have different verdicts.
    """

    study: str
    heads: tuple[str, ...]
    lines: tuple[ComparedClaim, ...]
    differ: int


def comparisons(
    records: Mapping[Path, RunRecord], summaries: Mapping[Path, Summary | None]
) -> list[StudyComparison]:
    """One comparison per study that several finished runs have; a claim a line."""
    labels = run_labels(records)
    groups: dict[str, dict[Path, Summary]] = {}
    for run, summary in summaries.items():
        if summary is not None:
            groups.setdefault(records[run].study, {})[run] = summary
    return [
        _comparison(study, [labels[run] for run in group], list(group.values()))
        for study, group in groups.items()
        if len(group) > 1
    ]


def run_labels(records: Mapping[Path, RunRecord]) -> dict[Path, str]:
    """What tells each run from the others of its study; empty where it is the only one.

    The model, the data, the split, the protocol, the number of images, the commit and the start are
    tried in this order; all of the first four that differ are named, the others only if need be.
    """
    found = {}
    for run, record in records.items():
        twins = [other for other in records.values() if other.study == record.study]
        bundled = all(other.data["name"] == other.model["name"] for other in twins)
        mine, *theirs = [facets(each, bundled) for each in (record, *twins)]
        main = [name for name in _MAIN if len({facet[name] for facet in theirs}) > 1]
        rest = [name for name in mine if name not in _MAIN]
        for name in rest:
            told = [tuple(facet[n] for n in main) for facet in theirs]
            if len(set(told)) == len(told):
                break
            if len({facet[name] for facet in theirs}) > 1:
                main.append(name)
        found[run] = ", ".join(mine[name] for name in main)
    return found


def facets(record: RunRecord, bundled: bool = False) -> dict[str, str]:
    """What may tell two runs of a study apart, as text.

    Args:
        record: Of the run.
        bundled: Whether data are named like the model that they belong to, in all runs compared;
            then the name is not told twice.
    """
    split = record.data["split"]
    return {
        "model": record.model["name"],
        "data": split if bundled else f"{record.data['name']} {split}",
        "protocol": f"protocol {record.protocol}",
        "limit": f"first {record.limit} images" if record.limit else "all images",
        "commit": f"commit {(record.commit or 'unknown')[:9]}{' changed' if record.dirty else ''}",
        "started": f"run of {record.started}",
        "key": f"key {record.key[:12]}",
    }


_MAIN = ("model", "data", "protocol", "limit")


def _comparison(study: str, heads: Sequence[str], summaries: Sequence[Summary]) -> StudyComparison:
    tables = [{claim.id: claim for claim in summary.claims} for summary in summaries]
    ids = dict.fromkeys(id for table in tables for id in table)
    lines = tuple(_line(id, [table.get(id) for table in tables]) for id in ids)
    return StudyComparison(study, tuple(heads), lines, sum(line.differ for line in lines))


def _line(id: str, claims: Sequence[Claim | None]) -> ComparedClaim:
    there = [claim for claim in claims if claim is not None]
    sides = tuple(
        None
        if claim is None
        else ComparedSide(
            claim.verdict,
            f"{number(claim.estimate)} {interval(*claim.widest)}",
            interval_plot(claim, there),
        )
        for claim in claims
    )
    return ComparedClaim(id, there[0].statement, sides, len({claim.verdict for claim in there}) > 1)
