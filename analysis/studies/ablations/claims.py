"""Claims of the ablations: each part of the method matters; H7, it leads all rivals by over 5 %."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import PAPER
from litelvlm.analysis.runs.claims import Claim, make_claim
from litelvlm.analysis.stats.bootstrap import Bootstrap, contrast
from litelvlm.analysis.stats.precision import smallest_effect
from litelvlm.analysis.studies.ablations.config import (
    EMPTY,
    KERNEL_SHAP,
    OPPOSITE,
    RIVALS,
    SHUFFLED,
)
from litelvlm.analysis.studies.ablations.official import official_claims
from litelvlm.analysis.studies.ablations.pairs import Pair, compare, pair_claim
from litelvlm.analysis.studies.ablations.rows import METHODS
from litelvlm.analysis.studies.ablations.tables import PER_SAMPLE, attention_estimates
from litelvlm.analysis.studies.sweep.estimates import cell_index, score_bootstrap
from litelvlm.analysis.studies.sweep.wide import Wide, budgets_of, widen
from litelvlm.arrays import Array

LEAD = 0.05
PAIRS = (
    Pair("worst_first", PAPER, OPPOSITE, "the highest similarities instead of the lowest"),
    Pair("true_text", PAPER, SHUFFLED, "the lowest similarities to the text of another image"),
    Pair("any_text", PAPER, EMPTY, "the lowest similarities to an empty text"),
    Pair("value_norm", PAPER, "value_norm", "the largest value norms, without any text"),
    Pair("even", PAPER, "uniform", "evenly spread tokens"),
    Pair(
        "llm_attention",
        "llm_attention",
        PAPER,
        "the paper's method; attention is taken from an unpruned first pass",
    ),
    Pair(
        "llm_gradient",
        "llm_gradient",
        PAPER,
        "the paper's method; gradients are taken from an unpruned first pass",
    ),
    Pair(
        "block_loo",
        "block_loo",
        PAPER,
        "the paper's method; blocks are left out in turn in an unpruned first pass",
    ),
    Pair(
        "kernel_shap",
        KERNEL_SHAP,
        PAPER,
        "the paper's method; Shapley values take many passes before the first one",
    ),
)


def make_claims(rows: pd.DataFrame) -> list[Claim]:
    """Claims at the largest budget; one whose methods were not run is left out.

    Returns:
        The pairs above, those of the official protocol, the correlation with attention, H7
        (relative lead over the best rival above 5 %) and H7.points (the same in points of cIoU,
        which asks for more).
    """
    if METHODS not in set(rows["part"]):  # where no chosen expression can be asked
        return []
    alone = rows[rows["part"] == METHODS]
    wide = widen(alone)
    scores = score_bootstrap(wide)
    budget = budgets_of(wide.cells, PAPER)[0]
    claims = [pair_claim(compared) for compared in compare(PAIRS, wide, scores, (budget,))]
    claims += official_claims(rows)
    return [
        *claims,
        *correlation_claims(alone),
        *lead_claims(wide, scores, budget),
    ]


def correlation_claims(alone: pd.DataFrame) -> list[Claim]:
    """Whether the reversed similarity correlates with the language model's attention per sample."""
    found, undefined = attention_estimates(alone)
    if PER_SAMPLE not in found:
        return []
    excluded = {"constant scores or attention": undefined}
    statement = (
        f"The reversed similarity correlates with the language model's attention ({PER_SAMPLE})."
    )
    estimate = found[PER_SAMPLE]
    return [make_claim("attention", statement, estimate, 0.0, "no correlation", excluded=excluded)]


def lead_claims(wide: Wide, scores: Bootstrap, budget: int) -> list[Claim]:
    """H7 in both readings; none if no rival was run."""
    rivals = [cell for cell in wide.cells if cell[0] in RIVALS and cell[1] == budget]
    if not rivals:
        return []
    ours = cell_index(wide, (PAPER, budget), "ciou")
    others = [cell_index(wide, cell, "ciou") for cell in rivals]

    def points(values: Float[Array, "b k"]) -> Float[Array, "b r"]:
        ahead: Array = values[:, [ours]] - values[:, others]
        return ahead

    def shares(values: Float[Array, "b k"]) -> Float[Array, "b r"]:
        theirs = values[:, others]
        ahead: Array = np.divide(
            points(values), theirs, out=np.full_like(theirs, np.nan), where=theirs != 0
        )
        return ahead

    best = rivals[int(scores.value[others].argmax())][0]
    text = (
        f"With {budget} tokens {PAPER} exceeds the best of {len(rivals)} rivals "
        f"(here {best}) by more than 5 "
    )
    return [
        lead_claim("H7", f"{text}% of its cIoU.", contrast(scores, shares)),
        lead_claim("H7.points", f"{text}points of cIoU.", contrast(scores, points)),
    ]


def lead_claim(id: str, statement: str, leads: Bootstrap) -> Claim:
    """A claim on the smallest of several leads; undetermined if a rival scores 0 on a resample."""
    p_value = float(leads.p_values(LEAD, one_sided=True).max())
    estimate = smallest_effect(leads)
    if not np.isfinite(leads.draws).all() or not np.isfinite(leads.value).all():
        estimate = leads.undefined(estimate.value, "undefined: a rival's cIoU is 0")
        p_value = float("nan")
    null = "lead that is claimed; the largest p-value over the rivals, each of which must be led"
    return make_claim(
        id, statement, estimate, LEAD, null, p_value=p_value, p_claimed=p_value, one_sided=True
    )


def interpret(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    if not claims:
        return "No claim of the ablations could be made; see the tables."
    by_verdict = {
        verdict: [claim.id for claim in claims if claim.verdict == verdict]
        for verdict in ("supported", "not supported", "undetermined")
    }
    parts = [f"{verdict}: {', '.join(ids)}" for verdict, ids in by_verdict.items() if ids]
    adjusted = (
        "Each is a single test; the tables of deltas and of the official protocol adjust theirs."
    )
    return f"Of the claims on single parts of the method, {'; '.join(parts)}. {adjusted}"
