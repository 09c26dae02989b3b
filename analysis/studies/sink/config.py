"""Configuration of the sink study."""

from pydantic import Field

from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.config import Index


class Config(QuestionConfig):
    """Configuration of the study. Its margins are settled before any row is seen.

    Attributes:
        random_seeds: Towers of the same shape with random weights to read too; 0 leaves them out.
        margin: Differences of the lift below it count as none.
        share_margin: Differences of a share of attention below it count as none.
    """

    random_seeds: Index = 3
    margin: float = Field(default=0.1, gt=0)
    share_margin: float = Field(default=0.01, gt=0)
