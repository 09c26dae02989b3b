"""Reversal of the scores that stand in for CLIP's similarity where a model answers in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.inputs.questions import free_texts
from litelvlm.analysis.inputs.samples import LabelledExpression, askable, image_targets, naming
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.studies.constructions import SUBSTITUTES, Construction
from litelvlm.analysis.studies.reversal.config import Config
from litelvlm.analysis.studies.reversal.controls import (
    OtherTexts,
    foreign_texts,
    target_rows,
    text_free,
)
from litelvlm.analysis.studies.reversal.rows import RankingRows, Shared, agreement
from litelvlm.arrays import Array
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.data.images import open_image
from litelvlm.models.base import VisualLM
from litelvlm.pruning import Cues
from litelvlm.pruning.methods.centre_distance import CentreDistance

LEFT_OUT = (
    "substitutes for CLIP's similarity are read without towers of random weights (N8), without "
    "other layers, and without the mean of many texts"
)


@dataclass(frozen=True)
class SubstituteContext(Shared):
    """What every image of a run shares where the language model ranks the tokens.

    Attributes:
        model: The model.
        free: By text mode, texts that name nothing in the image.
        categories: By category id, the question about the category's name.
    """

    model: VisualLM
    free: Mapping[str, str]
    categories: Mapping[int, str]

    @classmethod
    def of(
        cls, model: VisualLM, data: Dataset, config: Config, budgets: tuple[int, ...]
    ) -> "SubstituteContext":
        """Draw foreign expressions and word the shared texts."""
        asked = config.question_index
        return cls(
            model,
            data,
            config,
            "",
            budgets,
            draw_foreign(data, model, config.pool, config.seed),
            free_texts(model, asked),
            {number: model.question(name, asked) for number, name in data.categories.items()},
        )

    def question(self, sent: str) -> str:
        """The question about an expression."""
        return self.model.question(sent, self.config.question_index)


def substitute_rows(context: SubstituteContext, index: int) -> ItemResult:
    """All rows of one image, by every substitute."""
    sample, excluded = askable(context.data[index])
    targets, skipped = image_targets(context.data, context.model, sample)
    if not targets:
        return ItemResult([], excluded + skipped)
    picture = open_image(sample.image())
    with naming(sample, sample.expressions[0]):
        texts = needed_texts(context, sample, targets)
        by_text = context.model.text_scores(picture, texts)
        fixed = {n: as_array(s) for n, s in context.model.image_scores(picture).items()}
    layout = context.model.view(picture.height, picture.width).layout
    free = fixed | {"centre_distance": as_array(CentreDistance().score(Cues({}, layout)))}
    rows: list[Row] = []
    for name, key in SUBSTITUTES.items():
        if name in by_text:
            scores = dict(zip(texts, as_array(by_text[name]), strict=True))
            rankings, others = by_texts(context, sample, name, key, scores)
        else:
            rankings, others = by_image(context, sample, name, key, fixed[name]), None
        for target in targets:
            with naming(sample, target.expression):
                rows += target_rows(context, sample, target, rankings, others)
    for _, expression, keys, covered in targets:
        with naming(sample, expression):
            nothing = keys | {"rank_agreement": float("nan"), "clip_model": next(iter(SUBSTITUTES))}
            rows += [nothing | row for row in text_free(free, covered, context.budgets)]
    return ItemResult(rows, excluded + skipped)


def needed_texts(
    context: SubstituteContext, sample: Sample, targets: Sequence[LabelledExpression]
) -> list[str]:
    """Every text that the rows of an image need, each once."""
    found = [context.question(expression.sent) for expression in sample.expressions]
    found += [bare(expression.sent) for expression in sample.expressions]
    found += context.free.values()
    for _, expression, _, _ in targets:
        for same_category in (False, True):
            chosen = foreign_texts(context, sample, expression, same_category)
            found += [context.question(context.foreign[i].sent) for i in chosen]
        found += [
            context.categories[number]
            for number in expression.category_id
            if number in context.categories
        ]
    return list(dict.fromkeys(found))


def by_texts(
    context: SubstituteContext,
    sample: Sample,
    name: str,
    key: Construction,
    scores: Mapping[str, Float[Array, "n"]],
) -> tuple[RankingRows, OtherTexts]:
    """Rankings by a substitute that reads the text, and its scores by other texts.

    Args:
        context: Of the run.
        sample: The image.
        name: Of the substitute.
        key: Tags of its primary ranking.
        scores: Of the image's tokens by every text that its rows need.
    """

    def stacked(texts: Iterable[str]) -> Float[Array, "t n"]:
        return np.stack([scores[text] for text in texts])

    sents = [expression.sent for expression in sample.expressions]
    asked = stacked(map(context.question, sents))
    wordings = {key: asked, (*key[:3], "expression"): stacked(map(bare, sents))}
    others = OtherTexts(
        lambda chosen: stacked(context.question(context.foreign[i].sent) for i in chosen),
        {mode: scores[text] for mode, text in context.free.items()},
        lambda number: scores[context.categories[number]],
        context.categories,
    )
    return RankingRows(wordings, {}, agreement(asked), context.budgets, key, name), others


def by_image(
    context: SubstituteContext,
    sample: Sample,
    name: str,
    key: Construction,
    scores: Float[Array, "n"],
) -> RankingRows:
    """Rankings by a substitute that no text changes."""
    n = len(sample.expressions)
    same = np.tile(scores, (n, 1))
    return RankingRows({key: same}, {}, np.full(n, np.nan), context.budgets, key, name)


def bare(sent: str) -> str:
    """The expression alone."""
    return sent.strip().lower()


def as_array(scores: Float[Tensor, "*n"]) -> Float[Array, "*n"]:
    """A float64 copy."""
    found: Array = scores.numpy().astype(np.float64)
    return found
