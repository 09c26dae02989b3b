"""Configuration of the emergence study, margins and limits of its claims included."""

from pathlib import Path

from pydantic import Field

from litelvlm.analysis.runs.config import StudyConfig

FEWEST_REFERENTS = 3
"""Referents below which a category of one training is left out."""


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        trainings: Folder of trainings to measure; None takes the rows that the package holds.
        margin: Differences of the reversal index below it count as none, settled before any row is
            seen.
        sink_margin: The same for the logarithm of the lift.
        gate: Least share of pairs of a present and an absent category that a training must tell
            apart; the others do not count in claims about reversal.
        reader_gate: Least mean IoU by which a reader with all tokens must beat the best mask
            without tokens; the others do not count in claims about gains.
        gain_margin: Differences of IoU below it count as none.
    """

    trainings: Path | None = None
    margin: float = Field(default=0.05, gt=0)
    sink_margin: float = Field(default=0.1, gt=0)
    gate: float = Field(default=0.8, ge=0.5, le=1)
    reader_gate: float = Field(default=0.1, ge=0, le=1)
    gain_margin: float = Field(default=0.02, gt=0)
