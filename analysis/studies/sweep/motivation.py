"""Why a reversed similarity: maps beside masks, similarity on and off the referent, words.

The examples are the expressions of ``litelvlm.analysis.studies.sweep.examples``, successes beside
failures by rule. The two distributions take the first expression with words of each of the first
images. ``litelvlm.analysis.studies.motivation_file`` keeps both.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from litelvlm.analysis.inputs.labels import IN_COVERAGE, OUT_COVERAGE
from litelvlm.analysis.inputs.methods import UNPRUNED, Method
from litelvlm.analysis.inputs.samples import askable, fewest_tokens, target_mask, token_coverage
from litelvlm.analysis.runs.config import named_budgets
from litelvlm.analysis.signals.word_attention import word_attention
from litelvlm.analysis.studies.motivation_file import (
    FILE,
    Motivation,
    MotivationExample,
    write_motivation,
)
from litelvlm.analysis.studies.overlay import draw_kept, spread
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import chosen_samples, query_example, sweep_config
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Expression, Sample
from litelvlm.metrics import intersection_union
from litelvlm.models.base import Conversation, GroundingModel, VisualState
from litelvlm.pruning import text_similarity

IMAGES = 60
"""Images whose tokens make the two distributions."""
SHOWN = 5
"""Methods drawn side by side; the first of the sweep."""


@torch.inference_mode()
def save_motivation(model: GroundingModel, data: Dataset, run: Path) -> Path:
    """Compute and keep what the figures need; what is there already stays.

    Args:
        model: The model of the sweep.
        data: Its data.
        run: Its run folder.

    Returns:
        The file.
    """
    if (run / FILE).is_file():
        return run / FILE
    config = sweep_config(run)
    methods = [method for method in config.methods if method.name != UNPRUNED][:SHOWN]
    # Named as in the rows; each example keeps what this name means on its own grid.
    fewest = fewest_tokens(model, data)
    budget = max(named_budgets(config.budgets, fewest, fewest))
    examples = tuple(
        _example(model, sample, expression, config, methods, (budget, fewest))._replace(case=case)
        for sample, expression, case in chosen_samples(data, run)
    )
    inside, outside, n_images = distributions(model, data, config, min(IMAGES, len(data)))
    return write_motivation(run, Motivation(examples, budget, inside, outside, n_images))


def distributions(
    model: GroundingModel, data: Dataset, config: Config, n_images: int
) -> tuple[Array, Array, int]:
    """Similarities of tokens on and off the referent, standardised within each image.

    Args:
        model: The model.
        data: Its data.
        config: Of the sweep.
        n_images: How many of the first images to read.

    Returns:
        Similarities on the referent, off it, and how many images they come from: those without an
        expression that can be asked, or with nothing of its referent to see, have none.
    """
    inside, outside = [np.zeros(0)], [np.zeros(0)]
    for index in range(n_images):
        sample, _ = askable(data[index])
        if not sample.expressions:
            continue
        expression = sample.expressions[0]
        covered = token_coverage(target_mask(sample, expression), model)
        if not (covered >= IN_COVERAGE).any():
            continue
        conversation = model.conversation(
            [expression.sent], config.question_index, config.answer_index
        )
        scores = similarities(model, model.encode_image(sample.image()), conversation)
        scores = (scores - scores.mean()) / max(float(scores.std()), 1e-12)
        inside.append(scores[covered >= IN_COVERAGE])
        outside.append(scores[covered <= OUT_COVERAGE])
    return np.concatenate(inside), np.concatenate(outside), len(inside) - 1


def similarities(
    model: GroundingModel, state: VisualState, conversation: Conversation
) -> Float[Array, "n"]:
    """Similarity of every token to the question, as the paper's method ranks them."""
    return text_similarity(model.cues(state, conversation))[0].float().cpu().numpy()


def _example(
    model: GroundingModel,
    sample: Sample,
    expression: Expression,
    config: Config,
    methods: Sequence[Method],
    named: tuple[int, int],
) -> MotivationExample:
    posed, size = query_example(model, sample, expression, config), (sample.height, sample.width)
    (name, fewest), view = named, posed.state.view
    budget = named_budgets(config.budgets, view.n_tokens, fewest)[name]
    ious, panels = [], []
    for method in methods:
        chosen = method.pruner(0 if method.seeded else None).select(posed.cues, budget)
        (result,) = model.ground([posed.state], [posed.conversation], [chosen])
        mask = result.mask[0].cpu().numpy()
        ious.append(intersection_union(mask, sample.mask(expression), config.doubled).iou)
        panels.append(draw_kept(posed.picture, mask, chosen, view))
    words, attention = eos_attention(model, posed.conversation)
    return MotivationExample(
        expression.sent,
        np.asarray(posed.picture.convert("RGB")),
        posed.truth > 0,
        spread(similarities(model, posed.state, posed.conversation), view, *size),
        words,
        attention,
        tuple(method.label for method in methods),
        tuple(ious),
        tuple(panels),
    )


def eos_attention(
    model: GroundingModel, conversation: Conversation
) -> tuple[tuple[str, ...], Float[Array, "words"]]:
    """Words of the question, and attention of [EOS] to each, mean over layers and heads."""
    tower = model.clip_tower
    if tower is None or "text_attention" in tower.lacks:
        return (), np.zeros(0, dtype=np.float32)
    words, _, attention = word_attention(tower, conversation.questions[0])
    return tuple(words), attention.mean(axis=(0, 1)).astype(np.float32)
