"""What is asked about each image, and the conditions under which it is asked."""

from collections.abc import Callable, Sequence
from functools import partial

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.runs.origin.fingerprint import fingerprint
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.understanding.asking import asking_of
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.analysis.studies.understanding.rows import BLANK, AnswerCondition, image_rows
from litelvlm.data.dataset import Dataset
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.models.vlm.model import Vlm
from litelvlm.pruning import Pruner

_SHARES = (1 / 3, 2 / 9, 1 / 9, 1 / 18)


def prepare(model: Vlm, data: QuestionSet | Dataset, config: Config) -> Work:
    """Settle what is asked, and the conditions.

    Methods that cannot work with the model are excluded with their reason.
    """
    if model.fixed_tokens is None:  # it varies with the picture, so budgets stay shares
        budgets: Sequence[int | float] = config.budgets or _SHARES
    else:
        budgets = budget_counts(config.budgets, model.fixed_tokens)
    every = conditions(config, budgets)
    excluded = {
        (one.method, one.budget): Exclusion(method=one.method, budget=one.budget, reason=reason)
        for one in every
        if one.pruner is not None
        and one.budget is not None
        and (reason := _refusal(model, one.pruner, one.budget))
    }
    asked = [one for one in every if (one.method, one.budget) not in excluded]
    asking = asking_of(model, data, config)

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(image_rows, model, asking.begin(index), asked, asking.max_new_tokens)

    resolved: dict[str, object] = {"pad": model.pad, **asking.resolved}
    resolved |= {} if model.fixed_tokens is None else {"budgets": list(budgets)}
    resolved |= {} if model.clip_tower is None else {"clip": fingerprint(model.clip_tower)}
    return Work(
        asking.data,
        begin,
        sizes=asking.sizes,
        resolved=resolved,
        methods=tuple(one.pruner for one in every if one.pruner is not None),
        excluded=tuple(excluded.values()),
        notes=asking.notes,
    )


def conditions(config: Config, budgets: Sequence[int | float]) -> list[AnswerCondition]:
    """All conditions: unpruned first, then a blank image, then methods by budget."""
    found = [AnswerCondition(UNPRUNED)]
    if config.blank:
        found.append(AnswerCondition(BLANK))
    for method in config.methods_asked:
        if method.name == UNPRUNED:
            continue
        seeds = range(config.draws) if method.seeded else (None,)
        for budget in budgets:
            found += [
                AnswerCondition(method.label, budget, seed or 0, method.pruner(seed))
                for seed in seeds
            ]
    return found


def _refusal(model: Vlm, pruner: Pruner, budget: int | float) -> str:
    """Why a model cannot answer under a method, whatever the picture; "" if it can."""
    try:
        model.check(pruner, budget)
    except ValueError as error:
        return str(error)
    return ""
