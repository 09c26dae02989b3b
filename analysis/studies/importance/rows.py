"""Rows of the importance study: one expression of each image, every score and every signal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.inputs.picked import PickedExpressions, prepare_query
from litelvlm.analysis.inputs.samples import naming
from litelvlm.analysis.runs.columns import CATEGORY, CONDITION, EXPRESSION, LABELS, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.signals.clip_scores import Scores, lead_of, token_scores
from litelvlm.analysis.signals.importance import (
    GRADIENT,
    PREREGISTERED,
    RELEVANCE,
    Signal,
    cheap_signals,
)
from litelvlm.analysis.signals.sampled import sampled_signals
from litelvlm.analysis.stats.agreement import reliability
from litelvlm.analysis.stats.spatial import rank_correlations
from litelvlm.analysis.studies.importance.agreement import Tokens, agreement_rows, joint_rows, row
from litelvlm.analysis.studies.importance.config import Config
from litelvlm.analysis.studies.importance.sanity import reinitialised_rows
from litelvlm.arrays import Array
from litelvlm.models.attribution import TokenQuery
from litelvlm.models.base import QueriedModel

SHUFFLED = "shuffled_signal"
JOINT = (*PREREGISTERED, *RELEVANCE, *GRADIENT)
"""Signals whose ranks are also kept as a picture against the scores."""


COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    *LABELS,
    CATEGORY,
    Column("empty_prediction", bool, "The unpruned model predicts no pixel."),
    Column("control", str, "Control that the row is about, or 'none'.", CONDITION),
    Column("score", str, "CLIP-side score.", CONDITION),
    Column("signal", str, "Importance signal inside the language model.", CONDITION),
    Column("target", str, "Scalar that the signal explains; empty for attention.", CONDITION),
    Column("layer", int, "Layer of the language model; -1 for whole signals.", CONDITION),
    Column("head", int, "Attention head; -1 for all.", CONDITION),
    Column("removal", str, "How tokens are removed; empty where none is.", CONDITION),
    Column("compl_err", float, "Completeness error of the attribution, relative."),
    Column("metric", str, "Measure of agreement.", CONDITION),
    Column("partial_set", str, "Covariates that are held fixed.", CONDITION),
    Column("k", int, "Tokens at the top that the measure compares; 0 for all.", CONDITION),
    Column("value", float, "Value of the measure."),
    Column("chance", float, "Its expectation under random order."),
    Column("ceiling", float, "Agreement of the two sides with their own repetitions."),
    Column("p_shift", float, "p-value against the map moved round the grid."),
    Column("score_bin", int, "Sixth of the ranks of the score; -1 where there is none.", CONDITION),
    Column(
        "signal_bin", int, "Sixth of the ranks of the signal; -1 where there is none.", CONDITION
    ),
    Column("corrected", float, "Value with chance taken off, 1 at most."),
)


@dataclass(frozen=True)
class ImportanceContext:
    """What every image of a run shares."""

    model: QueriedModel
    data: PickedExpressions
    config: Config
    depth: int
    budgets: tuple[int, ...]
    token: Float[Tensor, "d"]
    checked: frozenset[int]
    sampled: frozenset[int]


def image_rows(context: ImportanceContext, index: int) -> ItemResult:
    """All rows of one image and its expression."""
    config, sample = context.config, context.data[index]
    expression = sample.expressions[0]
    with naming(sample, expression):
        query, targets, covered, keys = prepare_query(
            context.model, context.data, index, config.question_index, config.batch_size
        )
        seed = config.seed + int(expression.sent_id)
        scores = token_scores(
            query, covered, np.random.default_rng([config.seed, int(expression.sent_id)])
        )
        tokens = Tokens(query.view.layout.plane, scores["state_norm"], covered)
        lead = lead_of(scores)
        signals = cheap_signals(query, targets)
        rows, reliability = [], dict.fromkeys(scores, float("nan"))
        if index in context.checked:
            signals, reliability = retested(context, query, signals, scores, covered)
            rows += reinitialised_rows(query, tokens, seed)
        if index in context.sampled:
            signals += sampled_signals(
                context.model,
                query,
                targets,
                sample.image(),
                context.token,
                steps=config.integration_steps,
                coalitions=config.coalitions,
                seed=seed,
            )
        rows += agreement_rows(scores, signals, tokens, context.depth, reliability, context.budgets)
        for signal in signals:
            if signal.key in JOINT:
                rows += joint_rows(lead, scores[lead], signal)
            if signal.key in PREREGISTERED:
                rows.append(shuffled_row(lead, scores[lead], signal, seed))
    return ItemResult([keys | found for found in rows])


def retested(
    context: ImportanceContext,
    query: TokenQuery,
    signals: Sequence[Signal],
    scores: Scores,
    covered: Float[Array, "n"],
) -> tuple[list[Signal], dict[str, float]]:
    """Signals with their reliability, and that of scores, from asking with a second template.

    What does not read the text has reliability 1.
    """
    again = query.reworded(context.config.second_template)
    targets = again.targets()
    other = {signal.key: signal.values for signal in cheap_signals(again, targets)}
    found = [
        replace(signal, reliability=reliability(signal.values, other[signal.key]))
        for signal in signals
    ]
    # Random scores read no text either: their draws differ, and their reliability counts as 1.
    second = token_scores(again, covered, np.random.default_rng([context.config.seed]))
    text_free = [name for name in scores if "similarity" not in name]
    of_scores = {name: reliability(values, second[name]) for name, values in scores.items()}
    return found, of_scores | dict.fromkeys(text_free, 1.0)


def shuffled_row(lead: str, values: Float[Array, "n"], signal: Signal, seed: int) -> Row:
    """Plain Spearman correlation with the signal's tokens shuffled."""
    order = np.random.default_rng(seed).permutation(len(values))
    correlation = float(rank_correlations(values[None], signal.values[order][None])[0, 0])
    return row(lead, signal, "spearman", correlation, control=SHUFFLED)
