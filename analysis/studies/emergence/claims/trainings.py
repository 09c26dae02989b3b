"""Claims whose unit is the training: their intervals are Student's t, their verdicts need five."""

from collections.abc import Mapping

import numpy as np

from litelvlm.analysis.runs.claims import ALPHA, Claim, Direction, Verdict
from litelvlm.analysis.stats.bootstrap import Estimate
from litelvlm.analysis.stats.crossed_trainings import CrossedTrainings
from litelvlm.analysis.stats.significance import equivalence_test
from litelvlm.analysis.stats.trainings import t_estimate, t_p_value
from litelvlm.arrays import Array

MIN_TRAININGS = 5
"""Trainings below which a claim about their mean is undetermined."""
TWO_LOOKS = 0.0294
"""Largest p-value of a claim whose trainings were added to after a first look.

Source: Pocock, Group sequential methods in the design and analysis of clinical trials, Biometrika
64, 1977, table 1: two looks, 5 % in all.
"""


def mean_claim(
    id: str,
    statement: str,
    values: Array,
    null_description: str,
    margin: float,
    excluded: Mapping[str, int],
    direction: Direction = "greater",
    two_looks: bool = False,
) -> Claim:
    """A claim that the mean over trainings lies on one side of 0.

    Args:
        id: Short name.
        statement: As a full sentence.
        values: One for each training, at least one.
        null_description: What 0 stands for.
        margin: Means below it count as none.
        excluded: Trainings left out, by reason.
        direction: The claimed side.
        two_looks: Whether trainings were added after a first look.
    """
    estimate = t_estimate(values)
    return training_claim(
        id,
        statement,
        estimate,
        null_description,
        p_value=t_p_value(values),
        margin=margin,
        p_equivalent=equivalence_test(values, margin).p_value if len(values) > 1 else np.nan,
        direction=direction,
        excluded=excluded,
        two_looks=two_looks,
    )


def crossed_claim(
    id: str,
    statement: str,
    mean: CrossedTrainings,
    null_description: str,
    margin: float,
    excluded: Mapping[str, int],
    two_looks: bool = False,
) -> Claim:
    """A claim that a mean over trainings and categories lies above 0.

    Args:
        id: Short name.
        statement: As a full sentence.
        mean: With its error.
        null_description: What 0 stands for.
        margin: Means below it count as none.
        excluded: Trainings left out, by reason.
        two_looks: Whether trainings were added after a first look.
    """
    return training_claim(
        id,
        statement,
        mean.estimate(),
        null_description,
        p_value=mean.p_value(),
        margin=margin,
        p_equivalent=mean.p_equivalent(margin),
        excluded=excluded,
        two_looks=two_looks,
    )


def training_claim(
    id: str,
    statement: str,
    estimate: Estimate,
    null_description: str,
    p_value: float,
    margin: float = float("nan"),
    p_equivalent: float = float("nan"),
    two_sided: bool = False,
    direction: Direction = "greater",
    excluded: Mapping[str, int] | None = None,
    two_looks: bool = False,
    unit: str = "trainings",
    crossed: Estimate | None = None,
) -> Claim:
    """A claim whose unit is the training; its interval is Student's t, so few trainings suffice.

    Args:
        id: Short name.
        statement: As a full sentence.
        estimate: Over trainings.
        null_description: What 0 stands for.
        p_value: Adjusted where several claims were settled together.
        margin: Values below it count as none.
        p_equivalent: Of two one-sided tests against the margin.
        two_sided: Whether a value on either side of 0 supports the claim.
        direction: The claimed side otherwise.
        excluded: Trainings left out, by reason.
        two_looks: Whether trainings were added after a first look; the p-value must then be at most
            ``TWO_LOOKS``.
        unit: What the interval counts: "trainings", or the "cells" that they are the mean of.
        crossed: The same quantity over trainings and categories; the wider interval decides.
    """
    limit = TWO_LOOKS if two_looks else ALPHA
    widest = estimate if crossed is None else _wider(estimate, crossed)
    looks = f"; two looks, so p must be at most {TWO_LOOKS} (Pocock)" if two_looks else ""
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
        verdict=_verdict(widest, p_value, margin, two_sided, direction, limit),
        method=f"{estimate.method}{looks}",
        p_value=p_value,
        excluded={reason: count for reason, count in (excluded or {}).items() if count},
        margin=margin,
        p_equivalent=p_equivalent,
        unit=unit,
        low_categories=widest.low if crossed is not None else np.nan,
        high_categories=widest.high if crossed is not None else np.nan,
        generalises="trainings and categories" if crossed is not None else "",
    )


def _wider(estimate: Estimate, crossed: Estimate) -> Estimate:
    """The estimate with ends that neither of its two intervals goes beyond."""
    low, high = min(estimate.low, crossed.low), max(estimate.high, crossed.high)
    return estimate._replace(low=low, high=high)


def _verdict(
    estimate: Estimate,
    p_value: float,
    margin: float,
    two_sided: bool,
    direction: Direction,
    limit: float,
) -> Verdict:
    """Supported if the interval clears 0 and p is small; refuted beyond 0 or in the margin."""
    if not estimate.defined or estimate.n < MIN_TRAININGS:
        return "undetermined"
    low, high = estimate.low, estimate.high
    if direction == "less":
        low, high = -high, -low
    clear = low > 0 or (two_sided and high < 0)
    if clear and p_value <= limit:
        return "supported"
    within = np.isfinite(margin) and -margin < low and high < margin
    if within or (high <= 0 and not two_sided and not p_value > limit):
        return "not supported"
    return "undetermined"
