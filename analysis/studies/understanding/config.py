"""Which methods answer, at which budgets and positions, and how they are asked."""

from pydantic import field_validator, model_validator

from litelvlm.analysis.inputs.methods import AnyMethods, Method, at_positions, check_distinct
from litelvlm.analysis.inputs.opposites import with_opposites
from litelvlm.analysis.runs.config import Budgets, Count, StudyConfig
from litelvlm.models.vlm.boxes import BoxFormat
from litelvlm.pruning.positions import Positions


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        methods: Methods to compare; the unpruned model is always asked.
        opposites: Ask each of them that ranks tokens by one score for the lowest scores as well.
        positions: Positions of the tokens that stay, each for every method; none for each method's
            own.
        budgets: Token counts, or shares of all; None for the published shares.
        draws: Draws of a method that is random.
        blank: Ask about a grey picture too, as the baseline of a model that sees nothing.
        prompt: How it is asked, ``{}`` being the question or the expression; None for a single word
            or phrase, and for the prompt of the model's family where a box is the answer.
        box_format: What the numbers of a box are; None for the family's format.
        max_new_tokens: Length of an answer; None for 16, and 128 where a box is the answer.
    """

    methods: AnyMethods = ()
    opposites: bool = False
    positions: tuple[Positions, ...] = ()
    budgets: Budgets | None = None
    draws: Count = 5
    blank: bool = True
    prompt: str | None = None
    box_format: BoxFormat | None = None
    max_new_tokens: Count | None = None
    chunk_size: Count = 8

    @property
    def methods_asked(self) -> tuple[Method, ...]:
        """The methods with their opposites, each at all positions."""
        every = with_opposites(self.methods) if self.opposites else self.methods
        return at_positions(every, self.positions)

    @field_validator("prompt")
    @classmethod
    def _one_place(cls, prompt: str | None) -> str | None:
        if prompt is not None and prompt.count("{}") != 1:
            raise ValueError(
                f"{prompt!r} has {prompt.count('{}')} places {{}} for the question or expression; "
                "write one"
            )
        return prompt

    @model_validator(mode="after")
    def _distinct(self) -> "Config":
        check_distinct(self.methods_asked)
        return self
