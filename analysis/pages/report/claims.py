"""Claims and the family of hypotheses as a report shows them: text, and a small plot each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pandas as pd

from litelvlm.analysis.runs.claims import Claim
from litelvlm.analysis.runs.formatting import counted, interval, number
from litelvlm.analysis.runs.messages.reasons import undetermined_reason
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.runs.verdicts import NOT_TESTED
from litelvlm.analysis.studies.confirmatory import HYPOTHESES, confirmatory
from litelvlm.analysis.studies.stories import shown

FIRST = 3
"""Claims of a study that stand open at least, the hypotheses first."""


WIDTH = 300
"""Width of a plot in its own units."""
_MARGIN = 14
_ROOM = 0.12
"""Share of the values' range that stays free on either side."""
_LONGEST = 28
"""Characters that find room under a plot."""


@dataclass(frozen=True)
class IntervalPlot:
    """An estimate, its intervals and the value they are compared with, from left to right.

    Attributes:
        estimate: Place of the estimate, from 0 to ``WIDTH``.
        low: Place of the lower end of the interval over images.
        high: Of its upper end.
        wide_low: Of the lower end of the interval over images and categories; ``low`` without one.
        wide_high: Of its upper end.
        null: Of the value that they are compared with.
        null_text: That value, and what it stands for where that is short.
        anchor: How the text at ``null`` is aligned: "start", "middle" or "end".
        label: The same in words, for those who do not see it.
    """

    estimate: float
    low: float
    high: float
    wide_low: float
    wide_high: float
    null: float
    null_text: str
    anchor: str
    label: str


class FamilyView(TypedDict):
    """The confirmatory hypotheses of one model on one split.

    Attributes:
        title: Names the model and the split.
        lines: Per hypothesis id, statement, verdict, reason, alone, found, adjusted and n, as text.
        problem: Why nothing could be adjusted; empty if it could.
    """

    title: str
    lines: list[dict[str, str]]
    problem: str


def cards(
    summary: Summary, adjusted: Mapping[str, tuple[str, str]]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The claims of a run: those that stand open on the page, and those that are folded.

    Args:
        summary: Of the run.
        adjusted: By hypothesis, its verdict and p-value among all eight where that is another one.

    Returns:
        For each claim ``claim_row`` with "plot", None without an interval; "left", the verdict that
        is left after adjustment; and "adjusted", the same with its p-value where it is another one.
    """
    found = {}
    for claim in summary.claims:
        left, p_value = adjusted.get(claim.id, (claim.verdict, ""))
        told = f"{left} (p {p_value} after adjustment)" if p_value else ""
        view = {"plot": interval_plot(claim), "left": left, "adjusted": told}
        found[claim.id] = claim_row(claim) | view
    main = [id for id in found if id in HYPOTHESES]
    others = [id for id in found if id not in HYPOTHESES]
    main += others[: max(0, FIRST - len(main))]
    return [found[id] for id in main], [card for id, card in found.items() if id not in main]


def adjusted_in(families: Sequence[FamilyView], record: RunRecord) -> dict[str, tuple[str, str]]:
    """By hypothesis, its verdict and p-value after adjustment, where the verdict changes."""
    return {
        line["id"]: (line["verdict"], line["adjusted"])
        for family in families
        if family["title"] == _title(record)
        for line in family["lines"]
        if line["verdict"] != line["alone"]
    }


def claim_row(claim: Claim) -> dict[str, object]:
    """A claim with its numbers as text."""
    sides = " (one-sided)" if claim.one_sided else ""
    p_value = f", p = {number(claim.p_value)}{sides}" if math.isfinite(claim.p_value) else ""
    excluded = f"; excluded: {counted(claim.excluded)}" if claim.excluded else ""
    null = f"{number(claim.null)}: {claim.null_description}"
    return {
        "id": claim.id,
        "statement": claim.statement,
        "verdict": claim.verdict,
        "reason": undetermined_reason(claim),
        "value": shown(claim),
        "found": f"{number(claim.estimate)} {intervals_of(claim)}{p_value}",
        "method": claim.method,
        "generalises": claim.generalises,
        "null": "; ".join(filter(None, (null, claim.equivalence, claim.power))),
        "n": f"{claim.sample}{excluded}",
    }


def intervals_of(claim: Claim) -> str:
    """The interval of a claim and, where there is one, the wider one over categories too."""
    found = interval(claim.low, claim.high)
    if math.isfinite(claim.low_categories):
        wider = interval(claim.low_categories, claim.high_categories)
        return f"{found} over {claim.unit}, {wider} over {claim.unit} and categories"
    return found


def families(
    records: Mapping[Path, RunRecord], summaries: Mapping[Path, Summary | None]
) -> list[FamilyView]:
    """Adjust the confirmatory hypotheses together, once per model and split.

    Where two runs test one hypothesis, the family holds the problem and no lines.
    """
    groups: dict[str, list[Claim]] = {}
    for run, summary in summaries.items():
        groups.setdefault(_title(records[run]), []).extend(summary.claims if summary else [])
    return [_family(title, claims) for title, claims in groups.items()]


def _title(record: RunRecord) -> str:
    """The model and the split; weights of the same name, and splits of other makers, are others."""
    model, data = record.model, record.data
    named = f"model {model['name']} {model['digest'].removeprefix('random:')[:8]}"
    return f"{named}, data {data['name']} {data['split']} ({data['split_by']})"


def _family(title: str, claims: Sequence[Claim]) -> FamilyView:
    by_id = {claim.id: claim for claim in claims}
    try:
        table = confirmatory(claims)
    except ValueError as error:
        return {"title": title, "lines": [], "problem": str(error)}
    lines = [family_line(line, by_id.get(str(line["id"]))) for _, line in table.iterrows()]
    return {"title": title, "lines": lines, "problem": ""}


def family_line(line: "pd.Series[float]", claim: Claim | None) -> dict[str, str]:
    """One line of the confirmatory hypotheses with its numbers as text.

    Args:
        line: Of the table.
        claim: That was tested; None if none was.
    """
    told = {name: str(line[name]) for name in ("id", "statement", "verdict", "alone")}
    tested = told["verdict"] != NOT_TESTED
    found = f"{number(line['estimate'])} {interval(line['low'], line['high'])}"
    weaker = told["verdict"] == "undetermined" and told["alone"] == "supported"
    open_ = (undetermined_reason(claim), claim.power) if claim else ()
    reasons = ("its adjusted p-value is above 0.05",) if weaker else filter(None, open_)
    return told | {
        "reason": "; ".join(reasons),
        "found": found if tested else "",
        "adjusted": number(line["p_holm"]) if math.isfinite(line["p_holm"]) else "",
        "n": f"{claim.n} from {claim.n_images} {claim.unit}" if claim else "",
    }


def interval_plot(claim: Claim, together: Sequence[Claim] = ()) -> IntervalPlot | None:
    """The plot of a claim; None without an interval.

    Args:
        claim: With its estimate.
        together: Claims that share its axis, so that their plots can be compared.
    """
    if not _drawable(claim):
        return None
    shared = [claim, *filter(_drawable, together)]
    values = [v for c in shared for v in (c.estimate, c.null, c.low, c.high, *c.widest)]
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or 1.0
    scale = (WIDTH - 2 * _MARGIN) / (high - low + 2 * room)

    def place(value: float) -> float:
        return round(_MARGIN + (value - low + room) * scale, 1)

    null = place(claim.null)
    return IntervalPlot(
        estimate=place(claim.estimate),
        low=place(claim.low),
        high=place(claim.high),
        wide_low=place(claim.widest[0]),
        wide_high=place(claim.widest[1]),
        null=null,
        null_text=null_words(claim),
        anchor="start" if null < WIDTH * 0.4 else "end" if null > WIDTH * 0.6 else "middle",
        label=(
            f"estimate {number(claim.estimate)}, interval {interval(*claim.widest)}, "
            f"compared with {number(claim.null)}"
        ),
    )


def null_words(claim: Claim) -> str:
    """The value that a claim is compared with, and what it stands for if that is short.

    Example:
        >>> from litelvlm.analysis.runs.claims import make_claim
        >>> from litelvlm.analysis.stats.bootstrap import Estimate
        >>> found = Estimate(0.2, 0.1, 0.3, 50, 120, "")
        >>> null_words(make_claim("a", "It is more.", found, 0, "cIoU of random tokens; 5 seeds"))
        '0: cIoU of random tokens'
    """
    plain = claim.null_description.split(";")[0].split(": ")[-1].split(",")[0]
    value = number(claim.null)
    return f"{value}: {plain}" if len(plain) <= _LONGEST else f"compared with {value}"


def _drawable(claim: Claim) -> bool:
    numbers = (claim.estimate, claim.low, claim.high, claim.null)
    return all(map(math.isfinite, numbers))
