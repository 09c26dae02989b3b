"""What is asked: a task, the methods, their budgets, and how the prompt is made."""

from pydantic import field_validator, model_validator

from litelvlm.analysis.inputs.methods import AnyMethods, check_distinct
from litelvlm.analysis.runs.config import Budgets, Count, StudyConfig
from litelvlm.data.understanding.tasks import TASKS
from litelvlm.names import check_name


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        task: A name in ``litelvlm.data.understanding.tasks.TASKS``.
        methods: Methods to compare; the unpruned model is always asked.
        budgets: Token counts, or shares of all; None for the published shares.
        draws: Draws of a method that is random.
        ocr: Name OCR words in the prompt (TextVQA).
        blank: Ask about a grey picture too, as the baseline of a model that sees nothing.
    """

    task: str
    methods: AnyMethods = ()
    budgets: Budgets | None = None
    draws: Count = 5
    ocr: bool = False
    blank: bool = True
    chunk_size: Count = 8

    @field_validator("task")
    @classmethod
    def _known(cls, task: str) -> str:
        return check_name(task, TASKS, "task")

    @model_validator(mode="after")
    def _distinct(self) -> "Config":
        check_distinct(self.methods)
        return self
