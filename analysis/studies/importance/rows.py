"""Rows of the importance study: one expression of each image, every score and every signal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from litelvlm.analysis.inputs.picked import PickedExpressions, foreign_text, pick, strata_middles
from litelvlm.analysis.inputs.queries import Query, prepare_query, require_glamm
from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.inputs.samples import naming
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import Budgets, Count, Index, resolve_budgets
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.signals.clip_scores import REVERSED, clip_scores, visual_sinks
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
from litelvlm.models.base import GroundingModel
from litelvlm.models.glamm.attribution.targets import Targets
from litelvlm.models.glamm.language.llama import decode
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.prompting.prompts import QUESTIONS

JOINT = (
    *PREREGISTERED,
    RELEVANCE,
    GRADIENT,
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
    second_template: int = Field(default=1, ge=0, lt=len(QUESTIONS))
    depth: Count | None = None
    integration_steps: Count = 32
    coalitions: Count = 256
    permutations: Count = 8
    masks: Count = 300
    mean_images: Count = 32
    batch_size: Count | None = None


@dataclass(frozen=True)
class Context:
    """What every image of a run shares."""

    model: Glamm
    data: PickedExpressions
    config: Config
    depth: int
    budgets: tuple[int, ...]
    token: Float[Tensor, "d"]
    checked: frozenset[int]
    sampled: frozenset[int]


def image_rows(context: Context, index: int) -> ItemResult:
    """All rows of one image and its expression."""
    config, sample = context.config, context.data[index]
    expression = sample.expressions[0]
    with naming(sample, expression):
        query, targets, covered, keys = prepare_query(
            context.model, context.data, index, config.question_index, config.batch_size
        )
        scores, tokens = scores_of(
            context, query, covered, targets, [config.seed, int(expression.sent_id)]
        )
        keys |= {"n_sinks": int(tokens.sinks.sum())}
        signals = cheap_signals(query, targets)
        rows, reliability = [], dict.fromkeys(scores, float("nan"))
        if index in context.checked:
            signals, reliability = retested(context, query, signals, scores, covered)
            rows += foreign_rows(context, index, query, scores) if len(context.data) > 1 else []
            rows += reinitialised_rows(query, tokens, config.seed + int(expression.sent_id))
        if index in context.sampled:
            signals += sampled_signals(
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
                rows += joint_rows(REVERSED, scores[REVERSED], signal)
            if signal.key in PREREGISTERED:
                rows += shuffled_rows(
                    scores[REVERSED], signal, config.seed + int(expression.sent_id)
                )
    return ItemResult([keys | found for found in rows])


def scores_of(
    context: Context,
    query: Query,
    covered: Float[Array, "n"],
    targets: Targets,
    seed: Sequence[int],
) -> tuple[dict[str, Float[Array, "n"]], Tokens]:
    """CLIP-side scores of the tokens, and what else is known of them."""
    truth = torch.from_numpy(covered).float()
    cues = query.model.cues(query.state, query.conversation, coverage=truth)
    scores = clip_scores(cues, np.random.default_rng(seed))
    halfway = len(query.model.llama.model.layers) // 2
    sinks = visual_sinks(states_entering(targets, halfway), targets.start, targets.n_tokens)
    return scores, Tokens(context.model.grid, scores["state_norm"], covered, sinks)


@torch.inference_mode()
def states_entering(targets: Targets, layer: int) -> Float[Tensor, "s d"]:
    """States of the unpruned sequence as they enter a layer of the language model."""
    found: list[Tensor] = []

    def read(index: int, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        if index == layer:
            found.append(hidden_states[0])
        return hidden_states, position_ids

    positions = torch.arange(len(targets.embeds), device=targets.embeds.device)[None]
    decode(targets.model.llama, targets.embeds[None], positions, before_layer=read)
    return found[0]


def retested(
    context: Context,
    query: Query,
    signals: Sequence[Signal],
    scores: dict[str, Float[Array, "n"]],
    covered: Float[Array, "n"],
) -> tuple[list[Signal], dict[str, float]]:
    """Signals with their reliability, and that of scores, from asking with a second template.

    What does not read the text has reliability 1.
    """
    again = replace(
        query,
        conversation=query.model.conversation(
            query.conversation.expressions, context.config.second_template
        ),
    )
    targets = again.targets()
    other = {signal.key: signal.values for signal in cheap_signals(again, targets)}
    found = [
        replace(signal, reliability=reliability(signal.values, other[signal.key]))
        for signal in signals
    ]
    # Random scores are seeded alike, so they count as text-free too.
    second, _ = scores_of(context, again, covered, targets, [context.config.seed])
    text_free = [name for name in scores if "similarity" not in name]
    of_scores = {name: reliability(values, second[name]) for name, values in scores.items()}
    return found, of_scores | dict.fromkeys(text_free, 1.0)


def foreign_rows(
    context: Context, index: int, query: Query, scores: dict[str, Float[Array, "n"]]
) -> list[Row]:
    """The image's own scores against the importance of its tokens for another expression."""
    other = replace(
        query,
        conversation=query.model.conversation(
            [foreign_text(context.data, index)], context.config.question_index
        ),
    )
    signals = [
        signal for signal in cheap_signals(other, other.targets()) if signal.key in PREREGISTERED
    ]
    return [control_row("foreign_expression", scores[REVERSED], signal) for signal in signals]


def shuffled_rows(values: Float[Array, "n"], signal: Signal, seed: int) -> list[Row]:
    """The signal with its tokens shuffled, and against itself."""
    order = np.random.default_rng(seed).permutation(len(values))
    mixed = replace(signal, values=signal.values[order])
    return [
        control_row("shuffled_signal", values, mixed),
        control_row("self", signal.values, signal),
    ]


def control_row(control: str, values: Float[Array, "n"], signal: Signal) -> Row:
    """Plain Spearman correlation under a control."""
    correlation = float(rank_correlations(values[None], signal.values[None])[0, 0])
    return row(REVERSED, signal, "spearman", correlation, control=control)


def prepare(model: GroundingModel, data: Dataset, config: Config) -> Work:
    """Pick the expressions; one part of the work for each of their images."""
    glamm = require_glamm(model)
    picked = pick(data, model, config.images, config.seed)
    n_tokens = model.n_tokens
    budgets = resolve_budgets(config.budgets, n_tokens)
    context = Context(
        glamm,
        picked,
        config,
        min(config.depth or max(1, n_tokens // 9), n_tokens),
        budgets,
        mean_token(glamm, data, config.mean_images),
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
