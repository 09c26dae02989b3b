"""Rows of the sink study: the attention of [EOS], sentence by sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from litelvlm.analysis.inputs.samples import askable, key_columns, target_mask
from litelvlm.analysis.runs.columns import CONDITION, EXPRESSION, Column, Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.signals.text_attention import Wording, permuted, text_rows
from litelvlm.analysis.stats.ends import POSITIVE, SHARE
from litelvlm.analysis.studies.sink.config import Config
from litelvlm.clip.tower import Tower
from litelvlm.data.dataset import Dataset, Expression
from litelvlm.models.base import TowerModel

COLUMNS: tuple[Column, ...] = (
    *EXPRESSION,
    Column("weights", str, "'trained' or 'random'.", CONDITION),
    Column("weights_seed", int, "Seed of random weights; -1 for trained ones.", CONDITION),
    Column("text_mode", str, "'template', 'expression' or 'permuted' words.", CONDITION),
    Column("n_tokens", int, "Tokens of the sentence, [SOS] and [EOS] included.", POSITIVE),
    Column("layer", int, "Layer of the text tower, from 0.", CONDITION),
    Column("head", int, "Attention head, from 0; -1 for the mean over heads.", CONDITION),
    Column("query", str, "Position that attends: 'eos'.", CONDITION),
    Column("a_sos", float, "Attention on [SOS], 0 to 1.", SHARE),
    Column(
        "lift", float, "That attention times the tokens in view: 1 for uniform attention.", POSITIVE
    ),
    Column("content_share", float, "Attention on the words of the expression.", SHARE),
    Column("content_uniform", float, "The same for uniform attention.", SHARE),
    Column("punct_share", float, "Attention on punctuation.", SHARE),
    Column("punct_uniform", float, "The same for uniform attention.", SHARE),
    Column("self_share", float, "Attention of the position on itself.", SHARE),
    Column("entropy_norm", float, "Entropy of the attention over its maximum, 0 to 1.", SHARE),
    Column("norm_share", float, "Share of [SOS] in what is carried, by norm.", SHARE),
    Column("norm_self", float, "Share of the position itself in what is carried.", SHARE),
    Column("norm_content", float, "Share of the expression's words in what is carried.", SHARE),
    Column("norm_punct", float, "Share of punctuation in what is carried.", SHARE),
)


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
