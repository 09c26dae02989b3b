"""Configuration of the reversal study."""

from pydantic import Field

from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.config import Budgets, Count, Index


class Config(QuestionConfig):
    """Configuration of the study.

    Attributes:
        budgets: Token counts at which precision and recall are taken; None for the published
            shares.
        shifts: Moves of the mask round the grid (N4).
        blobs: Random blobs per expression (N5).
        donors: Foreign texts per expression (N1).
        pool: Expressions that foreign texts and masks are taken from.
        random_seeds: Towers with random weights (N8); 0 leaves them out.
        clip: Other CLIP models to read as well, by the names of
            ``litelvlm.clip.load.load_tower``.
        margin: Differences of the reversal index below it count as none, settled before any row is
            seen.
    """

    budgets: Budgets | None = None
    shifts: Count = 200
    blobs: Index = 20
    donors: Count = 4
    pool: Count = 256
    random_seeds: Index = 3
    clip: tuple[str, ...] = ()
    margin: float = Field(default=0.05, gt=0)
