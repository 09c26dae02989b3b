"""Configuration of the faithfulness study."""

from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.config import Count


class Config(QuestionConfig):
    """Configuration of the study. The defaults fit the miniature on one core.

    Attributes:
        images: Images, each with one expression, spread over the sizes of referents; None takes
            all.
        steps: Even steps of the curves (36 in a full study: 16 of 576 tokens each).
        removals: Random squares that are removed, for the infidelity.
        coalitions: Of KernelSHAP (512 in a full study).
        batch_size: Rows of the language model at once; None for as many as fit into 4 GiB.
    """

    images: Count | None = 24
    steps: Count = 12
    removals: Count = 32
    coalitions: Count = 144
    batch_size: Count | None = None
