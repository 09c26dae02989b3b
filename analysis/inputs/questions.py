"""What studies that ask a model about expressions are configured with: templates and batches."""

from litelvlm.analysis.runs.config import Count, Index, StudyConfig
from litelvlm.models.base import GroundingModel, StudiedModel


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
        answer_index: Answer template; how many there are depends on the model's family.
        batch_size: Passes of the language model at once: what bounds memory.
    """

    answer_index: Index = 0
    batch_size: Count = 24

    def check_model(self, model: StudiedModel) -> None:
        """Refuse a question or answer template that the model's family lacks."""
        super().check_model(model)
        if isinstance(model, GroundingModel) and self.answer_index >= model.n_answers:
            raise ValueError(
                f"answer_index {self.answer_index} is not an answer template of {model.name}; "
                f"choose 0 to {model.n_answers - 1}"
            )
