"""Questions by image, and the conditions under which each of them is asked."""

from collections.abc import Callable, Sequence
from functools import partial

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.origin.fingerprint import fingerprint
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.rows import BLANK, AnswerCondition, image_rows
from litelvlm.data.understanding.question import Question, QuestionSet
from litelvlm.models.vlm.answering import AnsweringVlm

_SHARES = (1 / 3, 2 / 9, 1 / 9, 1 / 18)


def prepare(model: AnsweringVlm, questions: QuestionSet, config: Config) -> Work:
    """Group the questions by image and settle the conditions.

    Methods that cannot work with the model are excluded with their reason.
    """
    if model.n_tokens is None:  # it varies with the picture, so budgets stay shares
        budgets: Sequence[int | float] = config.budgets or _SHARES
    else:
        budgets = resolve_budgets(config.budgets, model.n_tokens)
    every = conditions(config, budgets)
    excluded = excluded_conditions(model, every)
    barred = {(one.method, one.budget) for one in excluded}
    asked = [one for one in every if (one.method, one.budget) not in barred]
    by_image: dict[str, list[Question]] = {}
    for question in questions.questions:
        by_image.setdefault(question.image_id, []).append(question)
    images = list(by_image.values())

    def begin(index: int) -> Callable[[], ItemResult]:
        group = images[index]
        return partial(image_rows, model, questions.task, group, group[0].open(), asked)

    resolved: dict[str, object] = {"pad": model.pad}
    resolved |= {} if model.n_tokens is None else {"budgets": list(budgets)}
    resolved |= {} if model.clip is None else {"clip": fingerprint(model.clip)}
    return Work(
        None,
        begin,
        sizes=[len(group) for group in images],
        resolved=resolved,
        methods=tuple(one.pruner for one in every if one.pruner is not None),
        excluded=excluded,
    )


def conditions(config: Config, budgets: Sequence[int | float]) -> list[AnswerCondition]:
    """All conditions: unpruned first, then a blank image, then methods by budget."""
    found = [AnswerCondition(UNPRUNED)]
    if config.blank:
        found.append(AnswerCondition(BLANK))
    for method in config.methods:
        if method.name == UNPRUNED:
            continue
        seeds = range(config.draws) if method.seeded else (None,)
        for budget in budgets:
            found += [
                AnswerCondition(method.label, budget, seed or 0, method.pruner(seed))
                for seed in seeds
            ]
    return found


def excluded_conditions(
    model: AnsweringVlm, every: Sequence[AnswerCondition]
) -> tuple[Exclusion, ...]:
    """Methods and budgets that the model cannot be asked under, with the reason."""
    found: dict[tuple[str, int | float], Exclusion] = {}
    for one in every:
        if one.pruner is None or one.budget is None:
            continue
        try:
            model.check(one.pruner, one.budget)
        except ValueError as error:
            found[one.method, one.budget] = Exclusion(
                method=one.method, budget=one.budget, reason=str(error)
            )
    return tuple(found.values())
