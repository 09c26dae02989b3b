"""Claims of the ablations: each part of the method matters; H7, it leads all rivals by over 5 %."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.inputs.methods import PAPER, PAPER_RULE, RANDOM, UNPRUNED
from litelvlm.analysis.runs.claims import Claim, effect_claim, joint_claim, make_claim
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap_means, contrast
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.lines import categories_of
from litelvlm.analysis.stats.precision import smallest_effect
from litelvlm.analysis.studies.ablations.config import (
    EMPTY,
    HALF,
    KERNEL_SHAP,
    OPPOSITE,
    RIVALS,
    RULE_OPPOSITE,
    SHUFFLED,
)
from litelvlm.analysis.studies.ablations.official import WHERE, official_claims, official_rows
from litelvlm.analysis.studies.ablations.pairs import Pair, compare, pair_claim
from litelvlm.analysis.studies.ablations.rows import METHODS_PART
from litelvlm.analysis.studies.sweep.estimates import (
    cell_index,
    crossed_difference,
    crossed_retention,
    score_bootstrap,
)
from litelvlm.analysis.studies.sweep.wide import Wide, budgets_of, widen
from litelvlm.arrays import Array

LEAD = 0.05
CORRELATION_MARGIN = 0.05
"""A correlation within it counts as none."""
PAIRS = (
    Pair("worst_first", PAPER, OPPOSITE, "the highest similarities instead of the lowest"),
    Pair("true_text", PAPER, SHUFFLED, "the lowest similarities to the text of another image"),
    Pair("any_text", PAPER, EMPTY, "the lowest similarities to an empty text"),
    Pair("value_norm", PAPER, "value_norm", "the largest value norms, without any text"),
    Pair("even", PAPER, "uniform", "evenly spread tokens"),
    Pair("recovery", HALF, PAPER, "the texts' choice alone, without context tokens"),
    Pair("rule", PAPER_RULE, PAPER, "the released code, without context for a single text"),
    Pair(
        "rule.worst_first",
        PAPER_RULE,
        RULE_OPPOSITE,
        "the highest similarities, by the paper's own rule",
    ),
    Pair("rule.random", PAPER_RULE, RANDOM, "random tokens"),
    Pair("rule.even", PAPER_RULE, "uniform", "evenly spread tokens"),
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
    """Claims at the largest budget (H7: at every one); one whose methods were not run is left out.

    Returns:
        The pairs above, those of the official protocol, both correlations with attention, H7
        (relative lead over the best rival above 5 % at every budget) with H7@K at each, and
        H7.points (the same in points of cIoU, which asks for more); rule.H7 and its kin are about
        the paper's own rule, official.H7 and its kin about the official protocol.
    """
    if METHODS_PART not in set(rows["part"]):  # where no chosen expression can be asked
        return []
    alone = rows[rows["part"] == METHODS_PART]
    wide = widen(alone)
    scores = score_bootstrap(wide)
    budget = budgets_of(wide.cells, PAPER)[0]
    claims = [pair_claim(compared) for compared in compare(PAIRS, wide, scores, (budget,))]
    claims += official_claims(rows)
    official = official_rows(rows)
    if not official.empty:
        drawn = widen(official)
        claims += leads_at_every_budget(drawn, score_bootstrap(drawn), "official.", WHERE)
    return [*claims, *correlation_claims(alone), *leads_at_every_budget(wide, scores)]


def correlation_claims(alone: pd.DataFrame) -> list[Claim]:
    """Whether the reversed similarity correlates with attention per sample: Pearson, Spearman."""
    if "pearson" not in alone:
        return []
    measured = alone[alone["method"] == UNPRUNED]
    usable = measured.dropna(subset=["pearson", "spearman"])
    if usable.empty:
        return []
    excluded = {"constant scores or attention": len(measured) - len(usable)}
    images, categories = usable["image_id"].to_numpy(), categories_of(usable)
    return [
        effect_claim(
            id,
            "The reversed similarity correlates with the language model's attention "
            f"({name}, mean over samples).",
            bootstrap_means(usable[[column]].to_numpy(), images),
            "no correlation",
            excluded,
            CORRELATION_MARGIN,
            crossed_mean(usable[column].to_numpy(), images, categories),
        )
        for id, column, name in (
            ("attention", "pearson", "Pearson"),
            ("attention.spearman", "spearman", "Spearman"),
        )
    ]


def leads_at_every_budget(
    wide: Wide, scores: Bootstrap, protocol: str = "", where: str = ""
) -> list[Claim]:
    """H7 and H7.points for both readings of the method: a lead at every budget, then at each.

    The claim over all budgets needs each of them, so no correction is due among them. Those of the
    paper's own rule have ids that begin with "rule.".

    Args:
        wide: Scores of all expressions.
        scores: Their resamples.
        protocol: What every id begins with.
        where: What every statement ends with, before its full stop.
    """
    claims = []
    for method, rule in ((PAPER, ""), (PAPER_RULE, "rule.")):
        prefix = f"{protocol}{rule}"
        by_id: dict[str, list[Claim]] = {}
        for budget in budgets_of(wide.cells, method):
            for claim in lead_claims(wide, scores, budget, method):
                named = {
                    "id": f"{prefix}{claim.id}@{budget}",
                    "statement": f"{claim.statement.removesuffix('.')}{where}.",
                }
                part = claim.model_copy(update=named)
                by_id.setdefault(f"{prefix}{claim.id}", []).append(part)
        for id, parts in by_id.items():
            what = "% of its cIoU" if id.endswith("H7") else "points of cIoU"
            statement = (
                f"At every budget {method} exceeds the best rival of that budget by more than "
                f"5 {what}{where}."
            )
            claims += [joint_claim(id, statement, parts), *parts]
    return claims


def lead_claims(wide: Wide, scores: Bootstrap, budget: int, method: str = PAPER) -> list[Claim]:
    """H7 in both readings at one budget; none if no rival was run."""
    rivals = [cell for cell in wide.cells if cell[0] in RIVALS and cell[1] == budget]
    if not rivals or (method, budget) not in wide.cells:
        return []
    ours = cell_index(wide, (method, budget), "ciou")
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
        f"With {budget} tokens {method} exceeds the best of {len(rivals)} rivals "
        f"(here {best}) by more than 5 "
    )
    own = (method, budget)
    of_shares = [crossed_retention(wide, own, rival, less=1.0) for rival in rivals]
    of_points = [crossed_difference(wide, own, rival) for rival in rivals]
    return [
        lead_claim("H7", f"{text}% of its cIoU.", contrast(scores, shares), of_shares),
        lead_claim("H7.points", f"{text}points of cIoU.", contrast(scores, points), of_points),
    ]


def lead_claim(id: str, statement: str, leads: Bootstrap, crossed: Sequence[Crossed] = ()) -> Claim:
    """A claim on the smallest of several leads; undetermined if a rival scores 0 on a resample.

    Args:
        id: Of the claim.
        statement: As a full sentence.
        leads: One column per rival.
        crossed: The same leads over images and categories. The one that is least sure decides:
            every rival must be led.
    """
    p_value = float(leads.p_values(LEAD, one_sided=True).max())
    estimate = smallest_effect(leads)
    if not np.isfinite(leads.draws).all() or not np.isfinite(leads.value).all():
        estimate = leads.undefined(estimate.value, "undefined: a rival's cIoU is 0")
        p_value = float("nan")
    null = "lead that is claimed; the largest p-value over the rivals, each of which must be led"
    weakest = max(crossed, key=lambda one: one.p_value(LEAD, one_sided=True), default=None)
    return make_claim(
        id,
        statement,
        estimate,
        LEAD,
        null,
        p_value=p_value,
        p_claimed=p_value,
        one_sided=True,
        crossed=weakest,
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
