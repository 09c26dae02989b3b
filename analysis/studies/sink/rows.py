"""Rows of the sink study: the attention of [EOS], sentence by sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from pydantic import Field

from litelvlm.analysis.inputs.clip_models import randomised
from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.inputs.samples import askable, key_columns, target_mask
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.config import Index
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.signals.text_attention import Wording, permuted, text_rows
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Dataset, Expression
from litelvlm.models.base import TowerModel


class Config(QuestionConfig):
    """Configuration of the study.

    Attributes:
        random_seeds: Towers of the same shape with random weights to read too; 0 leaves them out.
        margin: Differences of the lift below it count as none, settled before any row is seen.
    """

    random_seeds: Index = 3
    margin: float = Field(default=0.1, gt=0)


@dataclass(frozen=True)
class SinkContext:
    """What every image of a run shares."""

    model: TowerModel
    random: Sequence[Tower]
    data: Dataset
    config: Config
    punctuation: frozenset[int]


def image_rows(context: SinkContext, index: int) -> ItemResult:
    """All rows of the expressions of one image, its sentences read in one pass per tower."""
    sample, excluded = askable(context.data[index])
    if not sample.expressions:
        return ItemResult([], excluded)
    wordings = [
        wording for expression in sample.expressions for wording in _wordings(context, expression)
    ]
    trained: Row = {"weights": "trained", "weights_seed": -1}
    found = text_rows(context.model.tower, wordings, context.punctuation, trained)
    templated = [
        wording._replace(heads=False) for wording in wordings if wording.mode == "template"
    ]
    drawn = [
        text_rows(
            tower,
            templated,
            context.punctuation,
            {"weights": "random", "weights_seed": context.config.seed + number},
        )
        for number, tower in enumerate(context.random)
    ]
    rows: list[Row] = []
    skipped = []
    for number, expression in enumerate(sample.expressions):
        own = [*found[3 * number : 3 * number + 3], *(other[number] for other in drawn)]
        reasons = [reason for reason in own if isinstance(reason, str)]
        if reasons:
            skipped.append(reasons[0])
            continue
        mask = target_mask(sample, expression)
        view = context.model.view(sample.height, sample.width)
        keys = key_columns(context.data, sample, expression, mask, view)
        rows += [keys | row for part in own if not isinstance(part, str) for row in part]
    return ItemResult(rows, (*excluded, *skipped))


def _wordings(context: SinkContext, expression: Expression) -> list[Wording]:
    bare = expression.sent.strip().lower()
    shuffled = permuted(bare, np.random.default_rng([context.config.seed, int(expression.sent_id)]))
    asked, mixed = (
        context.model.question(text, context.config.question_index) for text in (bare, shuffled)
    )
    return [
        Wording("template", asked, bare, heads=True),
        Wording("expression", bare, bare, heads=True),
        Wording("permuted", mixed, shuffled, heads=True),
    ]


def prepare(model: TowerModel, data: Dataset, config: Config) -> Work:
    """Draw the towers of random weights; one part of the work for each image, none opened."""
    tower = model.tower
    marks = tower.text([". , ; : ! ? ' \" ( ) -"])
    punctuation = frozenset(marks.input_ids[0, 1 : int(marks.eos_index[0])].tolist())
    random = tuple(randomised(model, config.seed + number) for number in range(config.random_seeds))
    context = SinkContext(model, random, data, config, punctuation)
    return Work(data, lambda index: partial(image_rows, context, index))
