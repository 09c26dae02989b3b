"""Which methods answer, at which budgets."""

from pydantic import model_validator

from litelvlm.analysis.inputs.methods import AnyMethods, check_distinct
from litelvlm.analysis.runs.config import Budgets, Count, StudyConfig


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        methods: Methods to compare; the unpruned model is always asked.
        budgets: Token counts, or shares of all; None for the published shares.
        draws: Draws of a method that is random.
        blank: Ask about a grey picture too, as the baseline of a model that sees nothing.
    """

    methods: AnyMethods = ()
    budgets: Budgets | None = None
    draws: Count = 5
    blank: bool = True
    chunk_size: Count = 8

    @model_validator(mode="after")
    def _distinct(self) -> "Config":
        check_distinct(self.methods)
        return self
