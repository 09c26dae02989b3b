"""Under which methods, budgets and draws every question is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from litelvlm.analysis.inputs.methods import UNPRUNED
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.studies.understanding.config import Config
from litelvlm.models.vlm.model import Vlm
from litelvlm.pruning import Pruner

BLANK = "blank image"
"""The condition in which the model sees a grey picture and all its tokens."""
_SHARES = (1 / 3, 2 / 9, 1 / 9, 1 / 18)


@dataclass(frozen=True)
class AnswerCondition:
    """One way of asking every question.

    Attributes:
        method: Label of the method; "none" for all tokens.
        budget: Visual tokens to keep, or their share; None for all.
        draw: Number of the draw of a random method, else 0.
        pruner: The method; None keeps all tokens.
        blank: Show a grey picture of the same size.
    """

    method: str
    budget: int | float | None = None
    draw: int = 0
    pruner: Pruner | None = None
    blank: bool = False


def budgets_of(config: Config, n_tokens: int | None) -> tuple[int | float, ...]:
    """Budgets as token counts, or as shares where the number of tokens varies.

    Raises:
        ValueError: If one does not fit.
    """
    if n_tokens is None:
        return config.budgets or _SHARES
    return resolve_budgets(config.budgets, n_tokens)


def conditions(config: Config, budgets: Sequence[int | float]) -> list[AnswerCondition]:
    """All conditions: unpruned first, then a blank image, then methods by budget."""
    found = [AnswerCondition(UNPRUNED)]
    if config.blank:
        found.append(AnswerCondition(BLANK, blank=True))
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


def possible_conditions(
    model: Vlm, found: Sequence[AnswerCondition]
) -> tuple[tuple[AnswerCondition, ...], tuple[Exclusion, ...]]:
    """Conditions that the model can be asked under, and what is excluded with the reason."""
    kept: list[AnswerCondition] = []
    excluded: dict[tuple[str, int | float], Exclusion] = {}
    for one in found:
        if one.pruner is None or one.budget is None:
            kept.append(one)
            continue
        try:
            model.check(one.pruner, one.budget)
        except ValueError as error:
            excluded[one.method, one.budget] = Exclusion(
                method=one.method, budget=one.budget, reason=str(error)
            )
        else:
            kept.append(one)
    return tuple(kept), tuple(excluded.values())
