"""Claims of a sweep: the method beats random tokens; H8, it keeps most of the unpruned score."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import PAPER, RANDOM, UNPRUNED
from litelvlm.analysis.runs.claims import MIN_IMAGES, Claim, make_claim
from litelvlm.analysis.runs.formatting import cells_in_words
from litelvlm.analysis.runs.protocols import protocol_of
from litelvlm.analysis.runs.study import Tables
from litelvlm.analysis.studies.scores import WITHOUT_SEG, main_score
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.effect import PairedEffect
from litelvlm.analysis.studies.sweep.paired import (
    JUDGED,
    ONE_SIDED,
    PairedScores,
    better_claim,
    budgets_of,
    pair_scores,
    protocol_name,
)
from litelvlm.data.dataset import IMAGES


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """Methods of ``JUDGED`` against random tokens at each budget, and H8.

    The released code's claims are random@K and H8; those of the others begin with their prefix, as
    rule.random@K. A method that was not swept has none.
    """
    if not set(JUDGED) & set(rows["method"]):
        return []
    paired, phrase = pair_scores(rows), protocol_of(protocol_name(rows)).description
    return [
        claim
        for method, prefix in JUDGED.items()
        for claim in _method_claims(method, prefix, paired, config.retained, phrase)
    ]


def _method_claims(
    method: str, prefix: str, paired: PairedScores, retained: float, phrase: str
) -> list[Claim]:
    score, (everything,) = paired.main, budgets_of(paired.cells, UNPRUNED)
    budgets = [budget for budget in budgets_of(paired.cells, method) if budget < everything]
    if not budgets:
        return []
    claims = [
        better_claim(
            f"{prefix}random@{budget}",
            f"With {budget} tokens {method} has a higher {score.label} than random "
            f"tokens, {phrase}.",
            paired,
            score,
            ((method, budget), (RANDOM, budget)),
            f"{score.label} of random tokens, mean over seeds",
        )
        for budget in budgets
        if (RANDOM, budget) in paired.cells
    ]
    kept = paired.retention(score, (method, budgets[0]), (UNPRUNED, everything))
    last = retention_claim(kept, retained, budgets[0], phrase, method, f"{prefix}H8", score.label)
    return [*claims, last]


def retention_claim(
    found: PairedEffect,
    retained: float,
    budget: int,
    phrase: str,
    method: str = PAPER,
    id: str = "H8",
    label: str = "cIoU",
) -> Claim:
    """H8; undetermined with its reason where the unpruned model scores 0, on a resample or all."""
    statement = (
        f"With {budget} tokens {method} keeps at least {100 * retained:g}% of the unpruned "
        f"{label}, {phrase}."
    )
    kept, crossed = found
    estimate = kept.estimates(ONE_SIDED)[0]
    p_value = float(kept.p_values(retained, one_sided=True)[0])
    lost, whole = int((~np.isfinite(kept.draws)).sum()), bool(np.isfinite(kept.value[0]))
    if lost or not whole:
        where = f"on {lost} of {len(kept.draws)} resamples" if whole else "on these images"
        reason = f"undefined: the unpruned {label} is 0 {where}"
        estimate, p_value = kept.undefined(estimate.value, reason), np.nan
    return make_claim(
        id,
        statement,
        estimate,
        retained,
        "share to be kept",
        p_value=p_value,
        p_claimed=p_value,
        one_sided=True,
        crossed=crossed,
        level=ONE_SIDED,
    )


def interpret(claims: Sequence[Claim], tables: Tables) -> str:
    """What the verdicts mean together."""
    label = main_score(tables["scores"]["metric"] if tables else ()).label
    by_id = {claim.id: claim for claim in claims}
    told = [_told(method, prefix, by_id, label) for method, prefix in JUDGED.items()]
    if not claims and tables:
        told = list(_scores_in_words(tables))
    return " ".join(filter(None, [*told, without_seg(tables["scores"]) if tables else ""]))


def _scores_in_words(tables: Tables) -> Iterator[str]:
    """What methods of one's own scored, and their lead over random tokens if those were swept."""
    scores, pairs = tables["scores"], tables["comparisons"]
    score = main_score(scores["metric"])
    yield f"{score.label}: {cells_in_words(scores[scores['metric'] == score.name])}."
    over = pairs.query("metric == @score.name and reference == @RANDOM") if len(pairs) else pairs
    if len(over):
        # Over categories too, where there are enough of them.
        ends = {e: over[f"{e}_categories"].fillna(over[e]) for e in ("low", "high")}
        wide = over.assign(**ends)
        yield f"Minus random tokens: {cells_in_words(wide, 'delta')}."


def without_seg(scores: pd.DataFrame) -> str:
    """Which methods and budgets have answers without [SEG], in words; empty if none has.

    Args:
        scores: The table "scores".
    """
    cells = scores[scores[WITHOUT_SEG] > 0].drop_duplicates(["method", "budget"])
    counts = [
        f"{method} at {budget} {count} of {total}"
        for method, budget, count, total in zip(
            *(cells[name] for name in ("method", "budget", WITHOUT_SEG, "n_answers")), strict=True
        )
    ]
    return f"Answers without [SEG] count as empty masks: {', '.join(counts)}." if counts else ""


def _told(method: str, prefix: str, by_id: Mapping[str, Claim], label: str) -> str:
    """The verdicts on one reading of the method; empty if it was not swept."""
    start = f"{prefix}random@"
    against = {
        id.removeprefix(start): "too few" if _too_few(claim) else claim.verdict
        for id, claim in by_id.items()
        if id.startswith(start)
    }
    parts, unit = [], next((claim.unit for claim in by_id.values()), IMAGES)
    for found, what in (
        ("supported", "beats random tokens at"),
        ("not supported", "does not beat random tokens at"),
        ("undetermined", "cannot be told from random tokens at"),
        ("too few", f"is not compared with random tokens, for want of {unit}, at"),
    ):
        budgets = [budget for budget, result in against.items() if result == found]
        if budgets:
            parts.append(f"{what} {', '.join(budgets)} tokens")
    kept = by_id.get(f"{prefix}H8")
    if kept is not None:
        parts.append(
            f"the claim that it keeps {100 * kept.null:g}% of the unpruned {label} is "
            f"{kept.verdict}"
        )
    return f"{method} {'; '.join(parts)}." if parts else ""


def _too_few(claim: Claim) -> bool:
    """Whether a verdict is missing because an interval needs more images, whatever it shows."""
    return claim.verdict == "undetermined" and claim.n_images < MIN_IMAGES
