"""Configuration of the importance study."""

from pydantic import Field

from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.config import Budgets, Count, Index
from litelvlm.models.base import StudiedModel


class Config(QuestionConfig):
    """Configuration of the study.

    The defaults fit the miniature on one core; a full study asks for more of each.

    Attributes:
        images: Images, each with one expression; None takes every image that can be labelled. The
            default is the whole bundled split.
        budgets: Token counts at which overlaps at the top are taken; None for the published
            shares.
        checked: Of them, how many also get a second template and reinitialised layers.
        sampled: Of them, how many also get the signals of many passes.
        second_template: Template of the retest.
        depth: Tokens at the top of a ranking that overlaps are taken over; None for a ninth of all
            tokens.
        integration_steps: Nodes of integrated gradients.
        coalitions: Of KernelSHAP (512 in a full study).
        mean_images: Images that the mean token is taken over.
        batch_size: Rows of the language model at once; None for as many as fit into 4 GiB.
        margin: A correlation, or an overlap corrected for chance, below it counts as none; settled
            before any row is seen.
    """

    images: Count | None = 160
    budgets: Budgets | None = None
    checked: Index = 8
    sampled: Index = 3
    second_template: Index = 1
    depth: Count | None = None
    integration_steps: Count = 32
    coalitions: Count = 256
    mean_images: Count = 32
    batch_size: Count | None = None
    margin: float = Field(default=0.05, gt=0)

    def check_model(self, model: StudiedModel) -> None:
        """Refuse a question template that the model's family lacks."""
        super().check_model(model)
        model.question("it", self.second_template)
