"""What the bench times: methods at budgets, each with its call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED, AnyMethod, check_distinct
from litelvlm.analysis.inputs.samples import view_of
from litelvlm.analysis.runs.config import (
    Budgets,
    Count,
    Index,
    StudyConfig,
)
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.data.dataset import Sample
from litelvlm.models.timed import TimedCall, TimedModel
from litelvlm.pruning import Pruner
from litelvlm.pruning.cues import TRUTH


class Config(StudyConfig):
    """Configuration of the bench.

    Attributes:
        methods: Methods to time beside the unpruned model.
        budgets: Token counts; None for the published shares. All tokens are always added for the
            paper's method.
        n_texts: Expressions per pass, all in one conversation with one selection.
        rounds: Timed rounds, at least 2, for one alone has no interval.
        warm_up: Rounds before them.
        decoded: Answer tokens behind the first one that the language model generates to time one of
            them.
        prefill_only: Time the prefill of the language model alone, on random states: what a CPU can
            do at full size.
    """

    methods: tuple[AnyMethod, ...] = (PAPER, "vispruner", "fastv")  # type: ignore[assignment]
    budgets: Budgets | None = None
    n_texts: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    rounds: int = Field(default=20, ge=2)
    warm_up: Index = 3
    decoded: Count = 8
    prefill_only: bool = False

    model_config = StudyConfig.model_config | {"validate_default": True}

    @model_validator(mode="after")
    def _can_be_timed(self) -> "Config":
        check_distinct(self.methods)
        if len(set(self.n_texts)) < len(self.n_texts):
            raise ValueError(
                f"n_texts holds a number twice: {', '.join(map(str, self.n_texts))}; name each once"
            )
        oracles = [method.label for method in self.methods if method.pruner().needs & TRUTH]
        if oracles:
            raise ValueError(
                f"methods that read the true mask cannot be timed: {', '.join(oracles)}; "
                "leave them out"
            )
        return self


@dataclass(frozen=True)
class Arm:
    """What is timed: a method at a budget, None for the unpruned model."""

    method: str
    pruner: Pruner | None
    budget: int
    n_text: int


def arms_of(
    model: TimedModel, sample: Sample, config: Config, budgets: Sequence[int]
) -> tuple[dict[Arm, TimedCall], tuple[Exclusion, ...]]:
    """What is timed on one image, each with its call, and why the rest is not."""
    calls, excluded = dict[Arm, TimedCall](), dict[tuple[str, int], Exclusion]()
    sizes, picture = model.sizes(view_of(model, sample).n_tokens), sample.image()
    texts = [expression.sent for expression in sample.expressions]
    for n_text in config.n_texts:
        unpruned = Arm(UNPRUNED, None, sizes.n_tokens, n_text)
        calls[unpruned] = model.timed_call(picture, texts[:n_text], None, sizes.n_tokens)
        for method in config.methods:
            whole = (sizes.n_tokens,) if method.label == PAPER else ()
            for budget in dict.fromkeys((*whole, *budgets)):
                pruner = method.pruner()
                arm = Arm(method.label, pruner, budget, n_text)
                try:
                    pruner.average_tokens(budget, sizes)
                    calls[arm] = model.timed_call(picture, texts[:n_text], pruner, budget)
                except ValueError as error:
                    excluded[method.label, budget] = Exclusion(
                        method=method.label, budget=budget, reason=str(error)
                    )
    return calls, tuple(excluded.values())
