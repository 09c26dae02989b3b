"""Configuration of the causal sink study."""

from pydantic import Field

from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.config import Budgets, Count, Index


class Config(QuestionConfig):
    """Configuration of the study.

    Attributes:
        budgets: Token counts at which kept sets are compared; None for the published shares.
        donors: Foreign texts per expression.
        pool: Expressions that foreign texts are taken from.
        mask_images: Images whose masks are predicted under the interventions; 0 leaves masks out.
        mask_budget: Tokens kept for those masks; None for a ninth of all.
        margin: Differences of the reversal index below it count as none, settled before any row is
            seen.
        margin_kept: The same for the share of kept tokens that change (one less Jaccard overlap).
        margin_text: The same for the shift of the text embedding (one less cosine).
    """

    budgets: Budgets | None = None
    donors: Count = 4
    pool: Count = 64
    mask_images: Index = 12
    mask_budget: Count | None = None
    margin: float = Field(default=0.05, gt=0)
    margin_kept: float = Field(default=0.05, gt=0)
    margin_text: float = Field(default=0.05, gt=0)

    def tokens_for_masks(self, n_tokens: int) -> int:
        """Tokens kept for masks of an image with so many."""
        return self.mask_budget or max(1, n_tokens // 9)
