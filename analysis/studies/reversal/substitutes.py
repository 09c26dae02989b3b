"""Reversal of the scores that stand in for CLIP's similarity where a model answers in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.inputs.labelled import LabelledExpression, image_targets
from litelvlm.analysis.inputs.questions import free_texts
from litelvlm.analysis.inputs.samples import askable, naming
from litelvlm.analysis.runs.columns import Row
from litelvlm.analysis.runs.work import ItemResult
from litelvlm.analysis.studies.reversal.controls import (
    foreign_texts,
    mask_controls,
    text_controls,
    text_free,
)
from litelvlm.analysis.studies.reversal.rows import (
    SUBSTITUTES,
    Config,
    Construction,
    RankingRows,
    Shared,
    agreement,
)
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


@dataclass(frozen=True)
class ScoresByText:
    """Scores of one image's tokens by every text that its rows need.

    Attributes:
        context: Of the run.
        scores: By text.
    """

    context: SubstituteContext
    scores: Mapping[str, Float[Array, "n"]]

    def own(self, texts: Sequence[str]) -> Float[Array, "t n"]:
        """By some texts."""
        return np.stack([self.scores[text] for text in texts])

    def foreign(self, chosen: Int[Array, "m"]) -> Float[Array, "m n"]:
        """By questions about some foreign expressions, by their numbers."""
        context = self.context
        return self.own([context.question(context.foreign[i].sent) for i in chosen])

    def free(self) -> Mapping[str, Float[Array, "n"]]:
        """By texts that name nothing in the image, by text mode."""
        return {mode: self.scores[text] for mode, text in self.context.free.items()}

    def category(self, number: int) -> Float[Array, "n"] | None:
        """By the question about a category's name; None for an unknown one."""
        text = self.context.categories.get(number)
        return None if text is None else self.scores[text]


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
    centre = as_array(CentreDistance().score(Cues({}, layout)))
    free = fixed | {"centre_distance": centre}
    rows: list[Row] = []
    for name, key in SUBSTITUTES.items():
        if name in by_text:
            scores = dict(zip(texts, as_array(by_text[name]), strict=True))
            rows += text_rows(context, sample, targets, name, key, ScoresByText(context, scores))
        else:
            rows += image_rows(context, sample, targets, name, key, fixed[name])
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


def text_rows(
    context: SubstituteContext,
    sample: Sample,
    targets: Sequence[LabelledExpression],
    name: str,
    key: Construction,
    texts: ScoresByText,
) -> list[Row]:
    """Rows of a substitute that reads the text."""
    sentences = [expression.sent for expression in sample.expressions]
    asked = texts.own([context.question(sent) for sent in sentences])
    plain = (*key[:3], "expression")
    wordings = {key: asked, plain: texts.own([bare(sent) for sent in sentences])}
    rankings = RankingRows(wordings, {}, agreement(asked), context.budgets, key)
    rows: list[Row] = []
    for number, expression, keys, covered in targets:
        with naming(sample, expression):
            foreign = foreign_texts(context, sample, expression, same_category=False)
            found = rankings.rows(number, covered)
            found += text_controls(context, texts, sample, expression, covered, foreign, key)
            found += mask_controls(context, asked[number], sample, expression, covered, key)
            agreed = {"rank_agreement": float(rankings.agreement[number]), "clip_model": name}
            rows += [keys | agreed | row for row in found]
    return rows


def image_rows(
    context: SubstituteContext,
    sample: Sample,
    targets: Sequence[LabelledExpression],
    name: str,
    key: Construction,
    scores: Float[Array, "n"],
) -> list[Row]:
    """Rows of a substitute that no text changes."""
    rankings = RankingRows({key: scores[None]}, {}, np.array([np.nan]), context.budgets, key)
    rows: list[Row] = []
    for _, expression, keys, covered in targets:
        with naming(sample, expression):
            found = rankings.rows(0, covered)
            found += mask_controls(context, scores, sample, expression, covered, key)
            named = {"rank_agreement": float("nan"), "clip_model": name}
            rows += [keys | named | row for row in found]
    return rows


def bare(sent: str) -> str:
    """The expression alone."""
    return sent.strip().lower()


def as_array(scores: Float[Tensor, "*n"]) -> Float[Array, "*n"]:
    """A float64 copy."""
    found: Array = scores.numpy().astype(np.float64)
    return found
