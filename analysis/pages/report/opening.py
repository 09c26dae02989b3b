"""The first page of a report: question, answers, how sure they are, what could change them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from litelvlm.analysis.pages.findings import finding
from litelvlm.analysis.pages.report.claims import IntervalPlot, interval_plot
from litelvlm.analysis.runs.messages.reasons import undetermined_reason
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.studies.confirmatory import HYPOTHESES
from litelvlm.analysis.studies.stories import common_question, leading
from litelvlm.analysis.studies.table import get_study


@dataclass(frozen=True)
class RunAnswer:
    """What one run found.

    Attributes:
        anchor: Where the page tells of the run.
        run: Its study, and what tells it from the other runs.
        question: Of the study.
        sentence: Its main result.
        verdict: On the claim behind the sentence; empty if nothing was claimed.
        plot: Of that claim; None without an interval.
    """

    anchor: str
    run: str
    question: str
    sentence: str
    verdict: str
    plot: IntervalPlot | None


def question(records: Sequence[RunRecord]) -> str:
    """What the runs ask together."""
    studies = {record.study for record in records}
    if len(studies) == 1:
        return get_study(studies.pop()).question
    return common_question(studies)


def answer(anchor: str, run: str, summary: Summary) -> RunAnswer:
    """What a finished run found, with the plot of the claim behind its sentence."""
    claim = leading(summary.study, summary.claims)
    return RunAnswer(
        anchor=anchor,
        run=run,
        question=get_study(summary.study).question,
        sentence=finding(summary),
        verdict=claim.verdict if claim else "",
        plot=interval_plot(claim) if claim else None,
    )


def how_sure(records: Sequence[RunRecord], summaries: Sequence[Summary]) -> list[str]:
    """What stands behind the answers: images, verdicts and what the intervals cover."""
    claims = [claim for summary in summaries for claim in summary.claims]
    if not claims:
        return []
    counts = Counter(claim.verdict for claim in claims)
    images = sorted({claim.n_images for claim in claims if claim.unit == "images"})
    many = " to ".join(str(n) for n in dict.fromkeys((*images[:1], *images[-1:])))
    found = [
        f"Of {len(claims)} claims {counts['supported']} are supported, "
        f"{counts['not supported']} are not supported and {counts['undetermined']} are "
        "undetermined, each by itself. Controls are among them. Failures stay in the count.",
    ]
    if images:
        found.append(
            f"Each interval comes from drawing its images anew ({many}, depending on the claim). "
            "It says what other images of this kind would change."
        )
    if any(claim.widest != (claim.low, claim.high) for claim in claims):
        found.append(
            "Where objects have categories, the wider interval draws these anew as well, and the "
            "verdict follows it."
        )
    failed = sum(record.counts.failed for record in records)
    if failed:
        found.append(f"{failed} samples failed; the run records name each.")
    return found


def what_would_change_it(
    records: Sequence[RunRecord], summaries: Mapping[str, Summary]
) -> list[str]:
    """What the answers do not cover, the shortest way to it first.

    Args:
        records: Of all runs.
        summaries: Of the finished runs, by a name for readers.
    """
    found = []
    limits = {record.limit for record in records} - {None}
    if limits:
        most = max(filter(None, limits))
        found.append(
            f"More images. Only the first {most} of the split were read (--limit), so this is a "
            "sample and no result."
        )
    open_ = [
        (f"{c.id} of {name}", c.power or undetermined_reason(c))
        for name, summary in summaries.items()
        for c in summary.claims
        if c.id in HYPOTHESES and c.verdict == "undetermined"
    ]
    if open_:
        told = "; ".join(f"{name} ({reason})" for name, reason in open_)
        found.append(f"More or other images, for the hypotheses that are open: {told}.")
    models = sorted({record.model["name"] for record in records})
    found.append(
        f"Another training. All numbers come from {counted_models(models)}; no interval covers "
        "what another training seed or another model would give."
    )
    protocols = sorted({record.protocol for record in records})
    found.append(
        f"Another way of asking. A verdict holds for the protocol that its claim names, else for "
        f"the {' or the '.join(protocols)} protocol."
    )
    return found


def counted_models(names: Sequence[str]) -> str:
    """One or several models in words."""
    if len(names) == 1:
        return f"one model, {names[0]}"
    return f"{len(names)} models, {', '.join(names)}"
