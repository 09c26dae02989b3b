"""Configuration of the causal sink study."""

from pydantic import Field

from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.config import Budgets


class Config(QuestionConfig):
    """Configuration of the study.

    Attributes:
        budgets: Token counts at which kept sets are compared; None for the published shares.
        margin: Differences of the reversal index below it count as none, settled before any row is
            seen.
        margin_kept: The same for the share of kept tokens that change (one less Jaccard overlap).
        margin_text: The same for the shift of the text embedding (one less cosine).
    """

    budgets: Budgets | None = None
    margin: float = Field(default=0.05, gt=0)
    margin_kept: float = Field(default=0.05, gt=0)
    margin_text: float = Field(default=0.05, gt=0)
