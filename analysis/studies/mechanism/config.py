"""Configuration of the mechanism study."""

from typing import Literal

from pydantic import Field

from litelvlm.analysis.inputs.questions import QuestionConfig
from litelvlm.analysis.runs.config import Count, Index


class Config(QuestionConfig):
    """Configuration of the study.

    Attributes:
        donors: Foreign texts per expression.
        pool: Expressions that foreign texts are taken from.
        deviations: Median absolute deviations above the median from which a token's norm makes it
            an outlier.
        fixed_norm: Share of the mean norm beyond which a token counts as an outlier in the
            sensitivity probe.
        neurons: Register neurons that are moved.
        neuron_images: Images in which they are found.
        clip: Other CLIP models to read as well, by the names of
            ``litelvlm.clip.load.load_tower``.
        margin: A reversal index, or a change of it, below this counts as none; settled before any
            row is seen.
        over: What the settled contrasts of readouts and texts count: "images" of the model's own
            towers, or the other CLIP models as so many "trainings".
    """

    donors: Count = 4
    pool: Count = 64
    deviations: float = Field(default=5.0, gt=0)
    fixed_norm: float = Field(default=1.5, gt=1)
    neurons: Count = 10
    neuron_images: Index = 16
    clip: tuple[str, ...] = ()
    margin: float = Field(default=0.05, gt=0)
    over: Literal["images", "trainings"] = "images"
