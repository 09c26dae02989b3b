"""The first page of a report: question, answers, how sure they are, what could change them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from litelvlm.analysis.runs.messages.reasons import undetermined_reason
from litelvlm.analysis.runs.record import RunRecord, Summary
from litelvlm.analysis.studies.confirmatory import HYPOTHESES
from litelvlm.analysis.studies.stories import common_question
from litelvlm.analysis.studies.table import get_study


def question(records: Sequence[RunRecord]) -> str:
    """What the runs ask together."""
    studies = {record.study for record in records}
    if len(studies) == 1:
        return get_study(studies.pop()).question
    return common_question(studies)


def units_of(records: Sequence[RunRecord]) -> str:
    """What the intervals of the runs resample, in words."""
    return " or ".join(dict.fromkeys(record.unit for record in records))


def how_sure(records: Sequence[RunRecord], summaries: Sequence[Summary]) -> list[str]:
    """What stands behind the answers: verdicts, what was resampled and what the intervals cover."""
    claims = [claim for summary in summaries for claim in summary.claims]
    if not claims:
        return []
    counts = Counter(claim.verdict for claim in claims)
    sizes, units = sorted({c.n_images for c in claims if c.clustered}), units_of(records)
    many = " to ".join(str(n) for n in dict.fromkeys((*sizes[:1], *sizes[-1:])))
    found = [
        f"Of {len(claims)} claims {counts['supported']} are supported, "
        f"{counts['not supported']} are not supported and {counts['undetermined']} are "
        "undetermined, each by itself. Controls are among them. Failures stay in the count.",
    ]
    if sizes:
        found.append(
            f"Each interval comes from drawing its {units} anew ({many}, depending on the claim). "
            f"It says what other {units} of this kind would change."
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
    kinds = " or ".join(dict.fromkeys(record.samples for record in records))
    if limits := sorted({record.limit for record in records if record.limit}):
        where = "" if all(record.limit for record in records) else " by some of the runs"
        found.append(
            f"More {kinds}. Only the first {' or '.join(map(str, limits))} of those that a study "
            f"takes were read{where} (--limit), so this is a sample and no result."
        )
    open_ = [
        f"{c.id} of {name} ({c.power or undetermined_reason(c)})"
        for name, summary in summaries.items()
        for c in summary.claims
        if c.id in HYPOTHESES and c.verdict == "undetermined"
    ]
    if open_:
        what = f"More or other {units_of(records)}"
        found.append(f"{what}, for the hypotheses that are open: {'; '.join(open_)}.")
    models = sorted({record.model["name"] for record in records})
    many = "one model" if len(models) == 1 else f"{len(models)} models"
    protocols = sorted({record.protocol for record in records})
    return [
        *found,
        f"Another training. All numbers come from {many}, {', '.join(models)}; no interval covers "
        "what another training seed or another model would give.",
        f"Another way of asking. A verdict holds for the protocol that its claim names, else for "
        f"the {' or the '.join(protocols)} protocol.",
    ]
