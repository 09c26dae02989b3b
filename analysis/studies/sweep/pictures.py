"""Pictures of a finished sweep, for figures and pages."""

from pathlib import Path

from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.examples import save_examples
from litelvlm.analysis.studies.sweep.motivation import save_motivation
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel
from litelvlm.pruning.cues import OF_CLIP


def save_pictures(model: GroundingModel, data: Dataset, folder: Path, config: Config) -> None:
    """Save overlays of a few expressions, and what motivates the reversed ranking.

    The pictures show expressions in conversations of their own, so only rows of protocol "single"
    are about them. Of a clip they show the first frame.
    """
    if config.protocol != "single":
        return
    save_examples(model, data, folder)
    if not model.lacks & OF_CLIP:
        save_motivation(model, data, folder)
