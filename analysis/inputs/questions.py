"""What studies that ask a model about expressions are configured with: templates and batches."""

from pydantic import Field

from litelvlm.analysis.runs.config import Count, Index, StudyConfig
from litelvlm.models.base import StudiedModel
from litelvlm.models.glamm.prompting.prompts import ANSWERS


class QuestionConfig(StudyConfig):
    """Configuration of a study that puts an expression into a question.

    Attributes:
        question_index: Question template; how many there are depends on the model's family.
    """

    question_index: Index = 0

    def check_model(self, model: StudiedModel) -> None:
        """Refuse a question template that the model's family lacks."""
        model.question("it", self.question_index)


def free_texts(model: StudiedModel, question_index: int) -> dict[str, str]:
    """Texts that name nothing in an image, by text mode: the template's own words are one."""
    template = model.question("{}", question_index).replace("{}", "")
    return {"empty": "", "photo": "a photo", "instruction": " ".join(template.split())}


class AnswerConfig(QuestionConfig):
    """Configuration of a study that puts the mask's token into a template answer.

    Attributes:
        answer_index: Answer template, 0 to 4.
        batch_size: Passes of the language model at once: what bounds memory.
    """

    answer_index: int = Field(default=0, ge=0, lt=len(ANSWERS))
    batch_size: Count = 24
