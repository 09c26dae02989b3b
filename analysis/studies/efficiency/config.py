"""What the bench times, and what it is compared with."""

from typing import Annotated

from pydantic import Field, model_validator

from litelvlm.analysis.inputs.methods import PAPER, AnyMethod, check_distinct
from litelvlm.analysis.runs.config import Budgets, Count, Index, Share, StudyConfig
from litelvlm.pruning.cue_table import TRUTH


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
        time_fall: Share of the time that the claim "time" says is saved at a third of the tokens
            (192 of 576), as published.
        memory_ratio: How many times smaller the claim "memory" says that the stored activations
            are there, as published.
    """

    methods: tuple[AnyMethod, ...] = (PAPER, "vispruner", "fastv")  # type: ignore[assignment]
    budgets: Budgets | None = None
    n_texts: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    rounds: int = Field(default=20, ge=2)
    warm_up: Index = 3
    decoded: Count = 8
    prefill_only: bool = False
    time_fall: Share = 0.22
    memory_ratio: float = Field(default=2.3, gt=1)

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
