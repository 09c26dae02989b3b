"""Claims of the ablations: each part of the method matters; H7, it leads all rivals by over 5 %."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.runs.claims import Claim, joint_claim, make_claim
from litelvlm.analysis.runs.means import mean_claim
from litelvlm.analysis.runs.study import Tables
from litelvlm.analysis.stats.bootstrap import Bootstrap, contrast
from litelvlm.analysis.stats.crossed import Crossed
from litelvlm.analysis.stats.ends import INDEX
from litelvlm.analysis.stats.precision import smallest_effect
from litelvlm.analysis.studies.ablations.config import RIVALS, Config
from litelvlm.analysis.studies.ablations.pairs import (
    PAIRS,
    WHERE,
    official_claims,
    official_scores,
    pair_claims,
)
from litelvlm.analysis.studies.ablations.rows import METHODS_PART
from litelvlm.analysis.studies.sweep.paired import READINGS, PairedScores, budgets_of, pair_scores
from litelvlm.arrays import Array


def make_claims(rows: pd.DataFrame, config: Config) -> list[Claim]:
    """Claims at the largest budget (H7: at every one); one whose methods were not run is left out.

    Returns:
        The pairs of methods, those of the official protocol, both correlations with attention, H7
        (relative lead over the best rival above 5 % at every budget) with H7@K at each, and
        H7.points (the same in points of the score, which asks for more); rule.H7 and its kin are
        about the paper's own rule, official.H7 and its kin about the official protocol.
    """
    if METHODS_PART not in set(rows["part"]):  # where no chosen expression can be asked
        return []
    alone = rows[rows["part"] == METHODS_PART]
    paired = pair_scores(alone)
    claims = pair_claims(PAIRS, paired, config.margin)
    official = official_scores(rows)
    if official is not None:
        claims += official_claims(official, config)
        claims += leads_at_every_budget(official, config, "official.", WHERE)
    correlations = correlation_claims(alone, config.correlation_margin)
    return [*claims, *correlations, *leads_at_every_budget(paired, config)]


def correlation_claims(alone: pd.DataFrame, margin: float) -> list[Claim]:
    """Whether the reversed similarity correlates with attention per sample: Pearson, Spearman."""
    if "pearson" not in alone:
        return []
    measured = alone[alone["method"] == UNPRUNED]
    usable = measured.dropna(subset=["pearson", "spearman"])
    if usable.empty:
        return []
    excluded = {"constant scores or attention": len(measured) - len(usable)}
    return [
        mean_claim(
            id,
            "The reversed similarity correlates with the language model's attention "
            f"({name}, mean over samples).",
            usable[column],
            usable,
            "no correlation",
            margin=margin,
            reach=INDEX,
            excluded=excluded,
        )
        for id, column, name in (
            ("attention", "pearson", "Pearson"),
            ("attention.spearman", "spearman", "Spearman"),
        )
    ]


def leads_at_every_budget(
    paired: PairedScores, config: Config, protocol: str = "", where: str = ""
) -> list[Claim]:
    """H7 and H7.points for both readings of the method: a lead at every budget, then at each.

    The claim over all budgets needs each of them, so no correction is due among them. Those of the
    paper's own rule have ids that begin with "rule.".

    Args:
        paired: Scores of all expressions.
        config: Of the study.
        protocol: What every id begins with.
        where: What every statement ends with, before its full stop.
    """
    claims, label, points = list[Claim](), paired.main.label, 100 * config.lead
    if "rivals" not in config.requests:  # some of them may have run for another request
        return claims
    for method, rule in READINGS.items():
        prefix = f"{protocol}{rule}"
        by_id: dict[str, list[Claim]] = {}
        for budget in budgets_of(paired.cells, method):
            for claim in lead_claims(paired, config, budget, method):
                named = {
                    "id": f"{prefix}{claim.id}@{budget}",
                    "statement": f"{claim.statement.removesuffix('.')}{where}.",
                }
                part = claim.model_copy(update=named)
                by_id.setdefault(f"{prefix}{claim.id}", []).append(part)
        for id, parts in by_id.items():
            what = f"% of its {label}" if id.endswith("H7") else f"points of {label}"
            statement = (
                f"At every budget {method} exceeds the best rival of that budget by more than "
                f"{points:g} {what}{where}."
            )
            claims += [joint_claim(id, statement, parts), *parts]
    return claims


def lead_claims(
    paired: PairedScores, config: Config, budget: int, method: str = PAPER
) -> list[Claim]:
    """H7 in both readings at one budget; none if no rival was run."""
    own, score = (method, budget), paired.main
    rivals = [cell for cell in paired.cells if cell[0] in RIVALS and cell[1] == budget]
    if not rivals or own not in paired.cells:
        return []
    ours = paired.place(score, own)
    others = [paired.place(score, cell) for cell in rivals]

    def points(values: Float[Array, "b k"]) -> Float[Array, "b r"]:
        ahead: Array = values[:, [ours]] - values[:, others]
        return ahead

    def shares(values: Float[Array, "b k"]) -> Float[Array, "b r"]:
        theirs = values[:, others]
        ahead: Array = np.divide(
            points(values), theirs, out=np.full_like(theirs, np.nan), where=theirs != 0
        )
        return ahead

    best = rivals[int(paired.drawn.value[others].argmax())][0]
    text = (
        f"With {budget} tokens {method} exceeds the best of {len(rivals)} rivals "
        f"(here {best}) by more than {100 * config.lead:g} "
    )
    of_shares = [paired.crossed_retention(score, own, rival, less=1.0) for rival in rivals]
    of_points = [paired.difference(score, own, rival).crossed for rival in rivals]
    readings = (
        ("H7", "% of its", shares, of_shares),
        ("H7.points", "points of", points, of_points),
    )
    return [
        lead_claim(
            id,
            f"{text}{what} {score.label}.",
            contrast(paired.drawn, ahead),
            crossed,
            config.lead,
            score.label,
        )
        for id, what, ahead, crossed in readings
    ]


def lead_claim(
    id: str,
    statement: str,
    leads: Bootstrap,
    crossed: Sequence[Crossed],
    lead: float,
    label: str,
) -> Claim:
    """A claim on the smallest of several leads; undetermined if a rival scores 0 on a resample.

    Args:
        id: Of the claim.
        statement: As a full sentence.
        leads: One column per rival.
        crossed: The same leads over images and categories. The one that is least sure decides:
            every rival must be led.
        lead: That is claimed.
        label: Of the score.
    """
    p_value = float(leads.p_values(lead, one_sided=True).max())
    estimate = smallest_effect(leads)
    if not np.isfinite(leads.draws).all() or not np.isfinite(leads.value).all():
        estimate = leads.undefined(estimate.value, f"undefined: a rival's {label} is 0")
        p_value = float("nan")
    null = "lead that is claimed; the largest p-value over the rivals, each of which must be led"
    weakest = max(crossed, key=lambda one: one.p_value(lead, one_sided=True), default=None)
    return make_claim(
        id,
        statement,
        estimate,
        lead,
        null,
        p_value=p_value,
        p_claimed=p_value,
        one_sided=True,
        crossed=weakest,
    )


def interpret(claims: Sequence[Claim], tables: Tables) -> str:
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
