"""What studies that ask a model about expressions are configured with: templates and batches."""

from pydantic import Field

from litelvlm.analysis.runs.config import Count, StudyConfig
from litelvlm.models.glamm.prompting.prompts import ANSWERS, QUESTIONS


class QuestionConfig(StudyConfig):
    """Configuration of a study that puts an expression into a question.

    Attributes:
        question_index: Question template, 0 to 15.
    """

    question_index: int = Field(default=0, ge=0, lt=len(QUESTIONS))


class AnswerConfig(QuestionConfig):
    """Configuration of a study that puts the mask's token into a template answer.

    Attributes:
        answer_index: Answer template, 0 to 4.
        batch_size: Passes of the language model at once: what bounds memory.
    """

    answer_index: int = Field(default=0, ge=0, lt=len(ANSWERS))
    batch_size: Count = 24
