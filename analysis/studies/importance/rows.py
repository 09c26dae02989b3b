"""Rows of the importance study: one expression of each image, every score and every signal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.inputs.picked import PickedExpressions, foreign_text, pick, strata_middles
from litelvlm.analysis.inputs.queries import prepare_query
from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.inputs.samples import fewest_tokens, naming
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import Budgets, Count, Index, resolve_budgets
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.signals.clip_scores import Scores, lead_of, token_scores, visual_sinks
from litelvlm.analysis.signals.gradients import mean_token
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
from litelvlm.analysis.studies.importance.sanity import reinitialised_rows
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset
from litelvlm.models.attribution import TokenQuery, TokenTargets
from litelvlm.models.base import QueriedModel, StudiedModel

JOINT = (
    *PREREGISTERED,
    *RELEVANCE,
    *GRADIENT,
)  # signals whose ranks are also kept as a picture against the scores


class Config(QuestionConfig):
    """Configuration of the study.

    The defaults fit the miniature on one core; a full study asks for more of each.

    Attributes:
        images: Images, each with one expression; None takes every image that can be labelled. The
            default is the whole bundled split.
        budgets: Token counts at which overlaps at the top are taken; None for the published
            shares.
        checked: Of them, how many also get a second template, a foreign expression and
            reinitialised layers.
        sampled: Of them, how many also get the signals of many passes.
        second_template: Template of the retest.
        depth: Tokens at the top of a ranking that overlaps are taken over; None for a ninth of all
            tokens.
        integration_steps: Nodes of integrated gradients.
        coalitions: Of KernelSHAP (512 in a full study).
        permutations: Of Shapley sampling (25 in a full study).
        masks: Random token sets of the ridge regression (1000 in a full study).
        mean_images: Images that the mean token is taken over.
        batch_size: Rows of the language model at once; None for as many as fit into 4 GiB.
    """

    images: Count | None = 160
    budgets: Budgets | None = None
    checked: Index = 8
    sampled: Index = 3
    second_template: Index = 1
    depth: Count | None = None
    integration_steps: Count = 32
    coalitions: Count = 256
    permutations: Count = 8
    masks: Count = 300
    mean_images: Count = 32
    batch_size: Count | None = None

    def check_model(self, model: StudiedModel) -> None:
        """Refuse a question template that the model's family lacks."""
        super().check_model(model)
        model.question("it", self.second_template)


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
        scores, tokens = scores_of(query, covered, targets, [config.seed, int(expression.sent_id)])
        lead = lead_of(scores)
        keys |= {"n_sinks": int(tokens.sinks.sum())}
        signals = cheap_signals(query, targets)
        rows, reliability = [], dict.fromkeys(scores, float("nan"))
        if index in context.checked:
            signals, reliability = retested(context, query, signals, scores, covered)
            rows += foreign_rows(context, index, query, scores) if len(context.data) > 1 else []
            rows += reinitialised_rows(query, tokens, config.seed + int(expression.sent_id))
        if index in context.sampled:
            signals += sampled_signals(
                context.model,
                query,
                targets,
                sample.image(),
                context.token,
                steps=config.integration_steps,
                coalitions=config.coalitions,
                permutations=config.permutations,
                masks=config.masks,
                kept=context.depth,
                seed=config.seed + int(expression.sent_id),
            )
        rows += agreement_rows(scores, signals, tokens, context.depth, reliability, context.budgets)
        for signal in signals:
            if signal.key in JOINT:
                rows += joint_rows(lead, scores[lead], signal)
            if signal.key in PREREGISTERED:
                seed = config.seed + int(expression.sent_id)
                rows += shuffled_rows(lead, scores[lead], signal, seed)
    return ItemResult([keys | found for found in rows])


def scores_of(
    query: TokenQuery,
    covered: Float[Array, "n"],
    targets: TokenTargets,
    seed: Sequence[int],
) -> tuple[Scores, Tokens]:
    """Scores of the tokens before the language model, and what else is known of them."""
    scores = token_scores(query, covered, np.random.default_rng(seed))
    halfway = len(query.layers) // 2
    sinks = visual_sinks(query.entering(halfway), targets.start, targets.n_tokens)
    return scores, Tokens(query.view.layout.plane, scores["state_norm"], covered, sinks)


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
    second, _ = scores_of(again, covered, targets, [context.config.seed])
    text_free = [name for name in scores if "similarity" not in name]
    of_scores = {name: reliability(values, second[name]) for name, values in scores.items()}
    return found, of_scores | dict.fromkeys(text_free, 1.0)


def foreign_rows(
    context: ImportanceContext, index: int, query: TokenQuery, scores: Scores
) -> list[Row]:
    """The image's own scores against the importance of its tokens for another expression."""
    other = query.about(foreign_text(context.data, index), context.config.question_index)
    signals = [
        signal for signal in cheap_signals(other, other.targets()) if signal.key in PREREGISTERED
    ]
    lead = lead_of(scores)
    return [control_row("foreign_expression", lead, scores[lead], signal) for signal in signals]


def shuffled_rows(lead: str, values: Float[Array, "n"], signal: Signal, seed: int) -> list[Row]:
    """The signal with its tokens shuffled, and against itself."""
    order = np.random.default_rng(seed).permutation(len(values))
    mixed = replace(signal, values=signal.values[order])
    return [
        control_row("shuffled_signal", lead, values, mixed),
        control_row("self", lead, signal.values, signal),
    ]


def control_row(control: str, lead: str, values: Float[Array, "n"], signal: Signal) -> Row:
    """Plain Spearman correlation under a control."""
    correlation = float(rank_correlations(values[None], signal.values[None])[0, 0])
    return row(lead, signal, "spearman", correlation, control=control)


def prepare(model: QueriedModel, data: Dataset, config: Config) -> Work:
    """Pick the expressions; one part of the work for each of their images."""
    picked = pick(data, model, config.images, config.seed)
    n_tokens = fewest_tokens(model, picked)
    budgets = resolve_budgets(config.budgets, n_tokens)
    context = ImportanceContext(
        model,
        picked,
        config,
        min(config.depth or max(1, n_tokens // 9), n_tokens),
        budgets,
        mean_token(model, data, config.mean_images),
        frozenset(strata_middles(len(picked), config.checked)),
        frozenset(strata_middles(len(picked), config.sampled)),
    )
    single = "the control of foreign expressions is left out: it takes a second image"
    return Work(
        picked,
        lambda index: partial(image_rows, context, index),
        resolved={"depth": context.depth, "budgets": list(budgets)},
        notes=(*picked.notes, *([single] if len(picked) == 1 else [])),
    )
