"""Rows of the faithfulness study: curves and areas of every ranking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float

from litelvlm.analysis.inputs.picked import PickedExpressions, pick
from litelvlm.analysis.inputs.queries import prepare_query
from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.inputs.samples import fewest_tokens, naming
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import Count
from litelvlm.analysis.runs.work import ItemResult, Work
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
    eraser,
    eraser_counts,
    first_tokens,
    moved_round,
    rank_infidelity,
    square_removals,
)
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset
from litelvlm.models.attribution import TokenQuery, TokenTargets
from litelvlm.models.base import QueriedModel

CLIP_RANKINGS = (REVERSED, "context", "cls_attention", "centre_distance", "random", "coverage")


MOVED_LEADS = {lead: f"{lead}_moved" for lead in LEADS}
"""Names of the reversed rankings that were moved round the grid."""

LLM_RANKINGS = (*PREREGISTERED, *RELEVANCE)  # beside input x gradient


class Config(QuestionConfig):
    """Configuration of the study. The defaults fit the miniature on one core.

    Attributes:
        images: Images, each with one expression, spread over the sizes of referents; None takes
            all.
        steps: Even steps of the curves (36 in a full study: 16 of 576 tokens each).
        removals: Random squares that are removed, for the infidelity.
        coalitions: Of KernelSHAP (512 in a full study).
        batch_size: Rows of the language model at once; None for as many as fit into 4 GiB.
    """

    images: Count | None = 24
    steps: Count = 12
    removals: Count = 32
    coalitions: Count = 144
    batch_size: Count | None = None


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
        falls = eraser(counts, deletion, insertion, context.counts(wanted, n))
        measured: Mapping[tuple[str, int], float] = {
            **{("insertion", k): float(y) for k, y in zip(points, insertion, strict=True)},
            **{("deletion", k): float(y) for k, y in zip(points, deletion, strict=True)},
            **{
                (name, k): float(y)
                for name, ys in falls.items()
                for k, y in zip(wanted, ys, strict=True)
            },
            **{(f"aopc_{name}", 0): float(ys.mean()) for name, ys in falls.items()},
            ("insertion_auc", 0): curve_area(counts, insertion),
            ("deletion_auc", 0): curve_area(counts, deletion),
            ("infidelity", 0): rank_infidelity(
                order, removed, after[:, column], float(insertion[-1])
            ),
        }
        rows += [
            {"target": target, "metric": name, "k": k, "value": y}
            for (name, k), y in measured.items()
        ]
    return rows


def prepare(model: QueriedModel, data: Dataset, config: Config) -> Work:
    """Pick the expressions; one part of the work for each of their images."""
    picked = pick(data, model, config.images, config.seed)
    context = FaithfulnessContext(model, picked, config, fewest_tokens(model, picked))
    return Work(
        picked,
        lambda index: partial(image_rows, context, index),
        notes=picked.notes,
    )
