"""Claims whose unit is the training: their intervals are Student's t, their verdicts need five."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from litelvlm.analysis.runs.claims import ALPHA, Claim, Verdict
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.crossed_trainings import CrossedTrainings
from litelvlm.analysis.stats.ends import OPEN, Ends
from litelvlm.analysis.stats.student import student_mean
from litelvlm.analysis.stats.trainings import t_estimate
from litelvlm.arrays import Array

MIN_TRAININGS = 5
"""Trainings below which a claim about their mean is undetermined."""
LARGEST_P = {1: ALPHA, 2: 0.0294, 3: 0.0221, 4: 0.0182}
"""Largest p-value of a supported claim by looks at its growing trainings: 5 % over all of them.

Source: Pocock, Group sequential methods in the design and analysis of clinical trials, Biometrika
64, 1977, table 1.
"""
Side = Literal["greater", "less", "either"]
ALL_TRAININGS = "all trainings"
"""In the place of a training's name: the mean over all but the model's own."""
NOT_LEARNED = "did not learn to find categories"


class Evidence(NamedTuple):
    """An estimate over trainings with its tests against 0.

    Attributes:
        estimate: With its interval.
        p_value: Two-sided; adjusted where several claims were settled together.
        margin: Values below it count as none; nan if nothing was settled.
        p_equivalent: Of two one-sided tests against the margin.
    """

    estimate: Estimate
    p_value: float
    margin: float = np.nan
    p_equivalent: float = np.nan


def over_trainings(values: Array, margin: float, reach: Ends = OPEN) -> Evidence:
    """The mean of one value for each training, of which there is at least one."""
    mean = student_mean(values, reach)
    return Evidence(t_estimate(values, reach), mean.p_value(), margin, mean.p_equivalent(margin))


def over_both(mean: CrossedTrainings, margin: float) -> Evidence:
    """A mean over trainings and categories."""
    return Evidence(mean.estimate(), mean.p_value(), margin, mean.p_equivalent(margin))


def training_claim(
    id: str,
    statement: str,
    evidence: Evidence,
    null_description: str,
    side: Side = "greater",
    excluded: Mapping[str, int] | None = None,
    looks: int = 1,
    unit: str = "trainings",
    crossed: Estimate | None = None,
) -> Claim:
    """A claim whose unit is the training; its interval is Student's t, so few trainings suffice.

    Args:
        id: Short name.
        statement: As a full sentence.
        evidence: Over trainings.
        null_description: What 0 stands for.
        side: The claimed side of 0.
        excluded: Trainings left out, by reason.
        looks: How often the claim was looked at while trainings were added; its p-value must not
            exceed ``LARGEST_P``.
        unit: What the interval counts: "trainings", or the "cells" that they are the mean of.
        crossed: The same quantity over trainings and categories; the wider interval decides.
    """
    estimate, limit = evidence.estimate, LARGEST_P[looks]
    paid = f"; {looks} looks, so p must be at most {limit} (Pocock)" if looks > 1 else ""
    low, high = estimate.low, estimate.high
    if crossed is not None:
        low, high = min(low, crossed.low), max(high, crossed.high)
    widest = estimate._replace(low=low, high=high)
    return Claim(
        id=id,
        statement=statement,
        estimate=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n_images=estimate.n_images,
        n=estimate.n,
        null=0.0,
        null_description=null_description,
        verdict=_verdict(widest, evidence, side, limit),
        method=f"{estimate.method}{paid}",
        p_value=evidence.p_value,
        excluded={reason: count for reason, count in (excluded or {}).items() if count},
        margin=evidence.margin,
        p_equivalent=evidence.p_equivalent,
        unit=unit,
        low_categories=low if crossed is not None else np.nan,
        high_categories=high if crossed is not None else np.nan,
        generalises="trainings and categories" if crossed is not None else "",
    )


def _verdict(estimate: Estimate, evidence: Evidence, side: Side, limit: float) -> Verdict:
    """Supported if the interval clears 0 and p is small; refuted beyond 0 or in the margin."""
    if not estimate.defined or estimate.n < MIN_TRAININGS:
        return "undetermined"
    low, high, margin = estimate.low, estimate.high, evidence.margin
    if side == "less":
        low, high = -high, -low
    clear = low > 0 or (side == "either" and high < 0)
    if clear and evidence.p_value <= limit:
        return "supported"
    within = np.isfinite(margin) and -margin < low and high < margin
    if within or (high <= 0 and side != "either" and not evidence.p_value > limit):
        return "not supported"
    return "undetermined"
