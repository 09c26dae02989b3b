"""What the reversal study does before its first row: foreign texts, embeddings, towers."""

from functools import partial

from litelvlm.analysis.inputs.clip_models import clip_work, embed_texts, randomised
from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.inputs.questions import free_texts
from litelvlm.analysis.inputs.samples import fewest_tokens
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.runs.work import Work
from litelvlm.analysis.studies.reversal.config import Config
from litelvlm.analysis.studies.reversal.controls import clip_rows
from litelvlm.analysis.studies.reversal.rows import ReversalContext, Texts
from litelvlm.analysis.studies.reversal.substitutes import (
    LEFT_OUT,
    SubstituteContext,
    substitute_rows,
)
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import StudiedModel, TowerModel, VisualLM


def make_context(
    model: TowerModel, data: Dataset, config: Config, clip: str, budgets: tuple[int, ...]
) -> ReversalContext:
    """Draw foreign expressions and embed every text that images share, for one CLIP model.

    Args:
        model: Whose towers are read.
        data: The split.
        config: Of the study.
        clip: Name for the rows; empty for the studied model's own towers, which alone get
            random-weight controls.
        budgets: Token counts.
    """
    foreign = draw_foreign(data, model, config.pool, config.seed)
    asked = config.question_index
    questions = [model.question(candidate.sent, asked) for candidate in foreign]
    names = data.categories
    categories = [model.question(name, asked) for name in names.values()]
    fixed = free_texts(model, asked)
    embeds = embed_texts(model.tower, [*fixed.values(), *categories, *questions])
    free = dict(zip(fixed, embeds, strict=False))
    foreign_embeds = embeds[len(fixed) + len(categories) :]
    if len(foreign_embeds):
        free["mean"] = foreign_embeds.mean(0)
    texts = Texts(foreign_embeds, free, dict(zip(names, embeds[len(fixed) :], strict=False)))
    seeds = range(config.random_seeds) if not clip and questions else ()
    towers = [randomised(model, config.seed + number) for number in seeds]
    random = [(tower, embed_texts(tower, questions)) for tower in towers]
    return ReversalContext(model, data, config, clip, budgets, foreign, texts, random)


def prepare(model: StudiedModel, data: Dataset, config: Config) -> Work:
    """Embed all shared texts in every CLIP model; one part of the work for each image.

    The model's own towers rank first, then what its language model offers instead of CLIP's
    similarity, then other CLIP models on grids of their own.
    """
    budgets = budget_counts(config.budgets, fewest_tokens(model, data))
    asked = []
    if isinstance(model, VisualLM):
        asked.append(SubstituteContext.of(model, data, config, budgets))
    return clip_work(
        model,
        data,
        config.clip,
        lambda one, clip: make_context(one, data, config, clip, () if clip else budgets),
        clip_rows,
        {"budgets": list(budgets)},
        [partial(substitute_rows, context) for context in asked],
        (LEFT_OUT,) if asked else (),
    )
