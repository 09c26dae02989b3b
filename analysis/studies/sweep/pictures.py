"""Pictures of a finished sweep, for figures and pages."""

from pathlib import Path

from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import save_examples
from litelvlm.analysis.studies.sweep.motivation import save_motivation
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel


def save_pictures(model: GroundingModel, data: Dataset, folder: Path, config: Config) -> None:
    """Save overlays of a few expressions, and what motivates the reversed ranking.

    The pictures show expressions in conversations of their own, so only rows of protocol "single"
    are about them.
    """
    if config.protocol == "single":
        save_examples(model, data, folder)
        save_motivation(model, data, folder)
