"""What the quantisation study crosses: precisions of the language model, methods and budgets."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from litelvlm.analysis.inputs.methods import (
    PAPER,
    RANDOM,
    UNPRUNED,
    Method,
    Methods,
    check_distinct,
)
from litelvlm.analysis.inputs.questions import AnswerConfig
from litelvlm.analysis.runs.config import Budgets, Count, Share

FULL = "none"
"""The precision with all bits, as the model was loaded."""
Way = Literal["int8", "nf4", "nf4_double", "fp4"]
DEFAULT_METHODS = (PAPER, RANDOM, "uniform", "mask_oracle", "llm_attention", "fastv")


class Config(AnswerConfig):
    """Configuration of the study.

    Attributes:
        precisions: Ways to store the language model's weights, beside all bits.
        methods: Methods to compare, as for a sweep; the unpruned model is always run.
        budgets: Token counts; None for the published shares of all tokens.
        seeds: Draws of a method that is random; the same ones in each precision.
        images: Images, taken at even distances from the split; None for all.
        expressions: Expressions of each image, likewise; None for all.
        margin: Interactions, losses and shares of blank masks within it count as none.
        kept_margin: The same for 1 less the Jaccard index of kept tokens.
        saved_by_pruning: Share of all memory that pruning alone saves at most, as the paper's
            appendix states.
    """

    precisions: Annotated[tuple[Way, ...], Field(min_length=1)] = ("int8", "nf4")
    methods: Methods = tuple(Method.parse(m) for m in DEFAULT_METHODS)
    budgets: Budgets | None = None
    seeds: Count = 3
    images: Count | None = 60
    expressions: Count | None = 1
    margin: Share = 0.01
    kept_margin: Share = 0.05
    saved_by_pruning: Share = 0.01

    @model_validator(mode="after")
    def _distinct(self) -> "Config":
        check_distinct(self.methods)
        if len(set(self.precisions)) < len(self.precisions):
            raise ValueError(
                f"precisions occur twice: {', '.join(self.precisions)}; name each once"
            )
        if all(method.name == UNPRUNED for method in self.methods):
            raise ValueError("no method prunes; name at least one beside the unpruned model")
        return self
