"""Rows of the faithfulness study: curves and areas of every ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from litelvlm.analysis.inputs.picked import PickedExpressions, prepare_query
from litelvlm.analysis.inputs.samples import naming
from litelvlm.analysis.runs.columns import CATEGORY, CONDITION, EXPRESSION, LABELS, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.signals.clip_scores import (
    LEADS,
    OPPOSITES,
    REVERSED,
    SUBSTITUTES,
    lead_of,
    ranking,
    token_scores,
)
from litelvlm.analysis.signals.gradients import input_signals
from litelvlm.analysis.signals.importance import (
    PREREGISTERED,
    RELEVANCE,
    as_array,
    attention_signals,
    block_signals,
    flow_signals,
)
from litelvlm.analysis.signals.sampled import shapley
from litelvlm.analysis.stats.faithfulness import (
    curve_area,
    curve_points,
    eraser_counts,
    first_tokens,
    moved_round,
    rank_infidelity,
    square_removals,
)
from litelvlm.analysis.studies.faithfulness.config import Config
from litelvlm.arrays import Array
from litelvlm.models.attribution import TokenQuery, TokenTargets
from litelvlm.models.base import QueriedModel

CLIP_RANKINGS = (REVERSED, "context", "cls_attention", "centre_distance", "random", "coverage")


MOVED_LEADS = {lead: f"{lead}_moved" for lead in LEADS}
"""Names of the reversed rankings that were moved round the grid."""

LLM_RANKINGS = (*PREREGISTERED, *RELEVANCE)  # beside input x gradient


COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    CATEGORY,
    Column("empty_prediction", bool, "The unpruned model predicts no pixel."),
    Column("ranking", str, "What tokens are ranked by.", CONDITION),
    Column("target", str, "Scalar that removal changes.", CONDITION),
    Column("metric", str, "Curve or measure.", CONDITION),
    Column(
        "k",
        int,
        "Tokens of the curve's point, by the image with fewest; 0: whole curves.",
        CONDITION,
    ),
    Column("value", float, "Value of the target or the measure."),
)


@dataclass(frozen=True)
class FaithfulnessContext:
    """What every image of a run shares.

    Attributes:
        model: The model that is asked.
        data: Images with one expression each.
        config: Of the study.
        fewest: Visual tokens of the image that has fewest. Rows name points of the curves by its
            counts; an image of more tokens is read at the same shares.
    """

    model: QueriedModel
    data: PickedExpressions
    config: Config
    fewest: int

    def counts(self, named: Sequence[int], n_tokens: int) -> tuple[int, ...]:
        """Token counts of an image at the points that rows name."""
        return tuple(round(k * n_tokens / self.fewest) for k in named)


def image_rows(context: FaithfulnessContext, index: int) -> ItemResult:
    """All rows of one image and its expression."""
    model, data, config = context.model, context.data, context.config
    sample = data[index]
    expression = sample.expressions[0]
    with naming(sample, expression):
        query, targets, covered, keys = prepare_query(
            model, data, index, config.question_index, config.batch_size
        )
        rng = np.random.default_rng([config.seed, int(expression.sent_id)])
        removed = square_removals(query.view.layout.plane, config.removals, rng)
        after = as_array(targets.keeping(torch.from_numpy(~removed), config.batch_size))
        rows = []
        found = rankings(query, targets, covered, rng) | {
            "kernel_shap": shapley(query, targets, config.coalitions, rng)
        }
        for name, values in found.items():
            rows += [
                {"ranking": name} | row
                for row in ranking_rows(context, values, targets, removed, after)
            ]
    return ItemResult([keys | row for row in rows])


def rankings(
    query: TokenQuery, targets: TokenTargets, covered: Float[Array, "n"], rng: np.random.Generator
) -> dict[str, Float[Array, "n"]]:
    """What tokens are ranked by, high first."""
    scores = token_scores(query, covered, rng)
    lead = lead_of(scores)
    # Of CLIP's scores some are much alike; one of each kind is judged.
    judged = CLIP_RANKINGS if lead == REVERSED else SUBSTITUTES
    found = {name: scores[name] for name in judged} | {OPPOSITES[lead]: -scores[lead]}
    found |= {MOVED_LEADS[lead]: moved_round(scores[lead], query.view.layout.plane, rng)}
    found |= {"input_x_gradient": input_signals(targets, targets.main)["input_x_gradient"]}
    signals = [
        *attention_signals(query),
        *flow_signals(query, targets),
        *block_signals(query, targets),
    ]
    wanted = [signal for signal in signals if signal.key in LLM_RANKINGS]
    return found | {signal.name: signal.values for signal in wanted}


def ranking_rows(
    context: FaithfulnessContext,
    values: Float[Array, "n"],
    targets: TokenTargets,
    removed: Bool[Array, "m n"],
    after: Float[Array, "m t"],
) -> list[Row]:
    """Every measure of one ranking for every target, given the targets after random removals."""
    order, n, config = ranking(values), targets.n_tokens, context.config
    points, wanted = curve_points(context.fewest, config.steps), eraser_counts(context.fewest)
    counts = context.counts(points, n)
    only = first_tokens(order, counts)
    found = as_array(
        targets.keeping(torch.from_numpy(np.concatenate([only, ~only])), config.batch_size)
    )
    kept, without = np.split(found, 2)
    rows = []
    for column, target in enumerate(targets.names):
        insertion, deletion = kept[:, column], without[:, column]
        places = [counts.index(k) for k in context.counts(wanted, n)]
        full = insertion[-1]
        measured: list[tuple[str, Sequence[int], Sequence[float]]] = [
            ("insertion", points, insertion.tolist()),
            ("deletion", points, deletion.tolist()),
            ("sufficiency", wanted, (full - insertion[places]).tolist()),
            ("insertion_auc", (0,), [curve_area(counts, insertion)]),
            ("deletion_auc", (0,), [curve_area(counts, deletion)]),
            ("infidelity", (0,), [rank_infidelity(order, removed, after[:, column], float(full))]),
        ]
        rows += [
            {"target": target, "metric": name, "k": k, "value": y}
            for name, ks, ys in measured
            for k, y in zip(ks, ys, strict=True)
        ]
    return rows
