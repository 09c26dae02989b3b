"""Rows of agreement: every CLIP-side score with every signal of one image, against chance."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.signals.clip_scores import lead_of, ranking
from litelvlm.analysis.signals.importance import ALL_HEADS, PREREGISTERED, Signal
from litelvlm.analysis.stats.agreement import (
    ceiling_of,
    chance_corrected,
    grid_covariates,
    mid_ranks,
    rank_biased_overlap,
    rbo_chance,
    top_k_iou,
    top_k_iou_chance,
)
from litelvlm.analysis.stats.spatial import (
    shift_p_values,
    shifted_correlations,
)
from litelvlm.arrays import Array

NONE, POSITION, COVERAGE = "none", "position", "position+coverage"
BINS = 6


class Tokens(NamedTuple):
    """What is known of one image's tokens besides scores and signals.

    Attributes:
        grid: (rows, columns).
        norms: Norm of CLIP's state, a covariate.
        coverage: Coverage by the true mask, a covariate of the second model.
    """

    grid: tuple[int, int]
    norms: Float[Array, "n"]
    coverage: Float[Array, "n"]

    def covariates(self, partial_set: str) -> Float[Array, "n c"] | None:
        """What is held fixed under a name; None for nothing.

        Norms and coverage are ranks, as scores and signals are (partial Spearman correlation).
        """
        if partial_set == NONE:
            return None
        columns = [grid_covariates(self.grid), mid_ranks(self.norms)]
        if partial_set == COVERAGE:
            columns.append(mid_ranks(self.coverage))
        return np.column_stack(columns)


def signal_columns(signal: Signal) -> Row:
    """Columns that name a signal."""
    return {
        "signal": signal.name,
        "target": signal.target,
        "layer": signal.layer,
        "head": signal.head,
        "removal": signal.removal,
        "compl_err": signal.error,
    }


def row(
    score: str, signal: Signal, metric: str, value: float, chance: float = 0.0, **more: object
) -> Row:
    """One row: columns that do not apply hold what says so."""
    columns: Row = {
        "control": "none",
        "score": score,
        **signal_columns(signal),
        "metric": metric,
        "partial_set": NONE,
        "k": 0,
        "value": value,
        "chance": chance,
        "ceiling": np.nan,
        "p_shift": np.nan,
        "score_bin": -1,
        "signal_bin": -1,
    } | more
    return columns | {"corrected": chance_corrected(value, chance)}


def agreement_rows(
    scores: Mapping[str, Float[Array, "n"]],
    signals: Sequence[Signal],
    tokens: Tokens,
    k: int,
    reliability: Mapping[str, float],
    budgets: Sequence[int] = (),
) -> list[Row]:
    """Agreement of every score with every whole signal; layers and heads with the reversed one.

    Single heads, of which there are a thousand, get the plain correlation only.

    Args:
        scores: By name; high is kept.
        signals: High is important.
        tokens: Of the image.
        k: Depth of the measures of overlap at the top.
        reliability: Of scores by name, where it was measured.
        budgets: Further depths of those measures, for the signals named in advance.
    """
    whole = [signal for signal in signals if signal.whole]
    layers = [signal for signal in signals if not signal.whole and signal.head == ALL_HEADS]
    heads = [signal for signal in signals if signal.head != ALL_HEADS]
    lead = lead_of(scores)
    reversed_only = {lead: scores[lead]}
    rows = correlation_rows(scores, whole, tokens, reliability)
    rows += correlation_rows(reversed_only, layers, tokens, {})
    rows += correlation_rows(reversed_only, heads, tokens, {}, (NONE,))
    values = np.stack([signal.values for signal in whole])
    rows += pair_rows(scores, whole, "pearson", pearson(stacked(scores), values))
    rows += overlap_rows(scores, whole, (k,))
    named = [signal for signal in whole if signal.key in PREREGISTERED]
    return rows + overlap_rows(scores, named, [budget for budget in budgets if budget != k])


def correlation_rows(
    scores: Mapping[str, Float[Array, "n"]],
    signals: Sequence[Signal],
    tokens: Tokens,
    reliability: Mapping[str, float],
    partial_sets: Sequence[str] = (NONE, POSITION, COVERAGE),
) -> list[Row]:
    """Spearman correlations given sets of covariates, with shift p-values and ceilings."""
    if not signals:
        return []
    a, b, rows = stacked(scores), np.stack([signal.values for signal in signals]), []
    # Reliabilities are of plain ranks and say nothing about residuals.
    ceilings = np.array(
        [
            [ceiling_of(reliability.get(score, np.nan), signal.reliability) for signal in signals]
            for score in scores
        ]
    )
    for partial_set in partial_sets:
        moved = shifted_correlations(a, b, tokens.grid, tokens.covariates(partial_set))
        rows += pair_rows(
            scores,
            signals,
            "spearman",
            moved[:, :, 0, 0],
            partial_set=partial_set,
            p_shift=shift_p_values(moved),
            ceiling=ceilings if partial_set == NONE else np.full(ceilings.shape, np.nan),
        )
    return rows


def pair_rows(
    scores: Iterable[str],
    signals: Sequence[Signal],
    metric: str,
    values: Float[Array, "a b"],
    **more: str | Float[Array, "a b"],
) -> list[Row]:
    """One row for each score and signal; a column of ``more`` is one word, or a number of each."""
    return [
        row(score, signal, metric, float(values[i, j]))
        | {name: m if isinstance(m, str) else float(m[i, j]) for name, m in more.items()}
        for i, score in enumerate(scores)
        for j, signal in enumerate(signals)
    ]


def overlap_rows(
    scores: Mapping[str, Float[Array, "n"]], signals: Sequence[Signal], depths: Sequence[int]
) -> list[Row]:
    """Rank-biased overlap and intersection over union of the first k, beside their chance."""
    orders = [ranking(values) for values in scores.values()]
    rows = []
    for signal in signals:
        other, n = ranking(signal.values), len(signal.values)
        for k in depths:
            chance = {"rbo": rbo_chance(n, k), "top_k_iou": top_k_iou_chance(n, k)}
            for score, order in zip(scores, orders, strict=True):
                found = {
                    "rbo": rank_biased_overlap(order, other, k),
                    "top_k_iou": top_k_iou(order, other, k),
                }
                rows += [
                    row(score, signal, metric, value, k=k, chance=chance[metric])
                    for metric, value in found.items()
                ]
    return rows


def joint_rows(score: str, values: Float[Array, "n"], signal: Signal) -> list[Row]:
    """Share of tokens in each cell of a grid of rank bins; independent ranks give 1 / 36."""
    n = len(values)
    # Ranks from 0 for the least, ties by index as in every selection.
    places = [np.argsort(ranking(found)[::-1], kind="stable") for found in (values, signal.values)]
    shares = np.zeros((BINS, BINS))
    np.add.at(shares, tuple(place * BINS // n for place in places), 1 / n)
    return [
        row(
            score,
            signal,
            "joint",
            float(shares[i, j]),
            chance=1 / BINS**2,
            score_bin=i,
            signal_bin=j,
        )
        for i in range(BINS)
        for j in range(BINS)
    ]


def stacked(scores: Mapping[str, Float[Array, "n"]]) -> Float[Array, "a n"]:
    """Scores in the order of their names."""
    return np.stack(list(scores.values()))


def pearson(first: Float[Array, "a n"], second: Float[Array, "b n"]) -> Float[Array, "a b"]:
    """Pearson correlation of every row with every other one; 0 where a row is constant."""

    def unit(values: Array) -> Array:
        centred = values - values.mean(1, keepdims=True)
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        varied = norms > 1e-12 * np.linalg.norm(values, axis=1, keepdims=True)
        scaled: Array = np.divide(centred, norms, out=np.zeros_like(centred), where=varied)
        return scaled

    value: Array = (unit(first) @ unit(second).T).clip(-1, 1)
    return value
