"""What is asked: a task's questions, under which methods, budgets and draws."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from litelvlm.analysis.inputs.methods import UNPRUNED, Method, check_distinct
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.engine import code_of, with_parts
from litelvlm.data.understanding.question import QuestionSet
from litelvlm.data.understanding.tasks import Task
from litelvlm.metrics.understanding import score_answer
from litelvlm.models.vlm.asking import AskedVlm
from litelvlm.pruning import Pruner

BLANK = "blank image"
"""The condition in which the model sees a grey picture and all its tokens."""
_SHARES = (1 / 3, 2 / 9, 1 / 9, 1 / 18)
_COMPUTING = ("torch", "torchvision", "transformers", "numpy", "pillow")


@dataclass(frozen=True)
class Condition:
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


def conditions(
    methods: Sequence[Method],
    budgets: Sequence[int | float] | None,
    n_tokens: int | None,
    draws: int,
    blank: bool,
) -> list[Condition]:
    """All conditions: unpruned first, then a blank image, then methods by budget.

    Args:
        methods: Methods to compare.
        budgets: Token counts or shares; None for the published shares.
        n_tokens: Visual tokens of an image; None where it varies, and shares stay shares.
        draws: Draws of a method that is random.
        blank: Whether to ask about a grey picture too.

    Raises:
        ValueError: If a method is named twice, or a budget does not fit.
    """
    check_distinct(methods)
    chosen: Sequence[int | float]
    if n_tokens is None:
        chosen = _SHARES if budgets is None else tuple(budgets)
    else:
        chosen = resolve_budgets(None if budgets is None else tuple(budgets), n_tokens)
    found = [Condition(UNPRUNED)]
    if blank:
        found.append(Condition(BLANK, blank=True))
    for method in methods:
        if method.name == UNPRUNED:
            continue
        seeds = range(draws) if method.seeded else (None,)
        for budget in chosen:
            found += [
                Condition(method.label, budget, seed or 0, method.pruner(seed)) for seed in seeds
            ]
    return found


def plan_key(
    model: AskedVlm,
    task: Task,
    questions: QuestionSet,
    asked: Sequence[Condition],
    ocr: bool,
    ask: object,
) -> str:
    """Digest of everything that can change an answer or its score.

    Args:
        model: The model.
        task: The task.
        questions: What is asked.
        asked: How.
        ocr: Name OCR words in the prompt.
        ask: Makes and scores the rows; its code counts, and that of the scores.
    """
    pruners = with_parts([c.pruner for c in asked if c.pruner is not None])
    makers = [conditions, ask, score_answer, Task, *map(type, pruners)]
    stated = {
        "model": [model.digest or model.name, str(model.model.dtype), model.model.device.type],
        "attn": model.model.config._attn_implementation,
        "pad": model.pad,
        "task": [task.name, task.suffix, task.scoring],
        "questions": questions.digest,
        "conditions": [[c.method, c.budget, c.draw, c.blank] for c in asked],
        "ocr": ocr,
        "versions": {name: version(name) for name in _COMPUTING},
        "code": code_of(makers, [AskedVlm]),
    }
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()
