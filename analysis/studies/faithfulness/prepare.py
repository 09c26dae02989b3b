"""What the faithfulness study does before its first row: it picks expressions."""

from functools import partial

from litelvlm.analysis.inputs.picked import pick
from litelvlm.analysis.inputs.samples import fewest_tokens
from litelvlm.analysis.runs.work import Work
from litelvlm.analysis.studies.faithfulness.config import Config
from litelvlm.analysis.studies.faithfulness.rows import FaithfulnessContext, image_rows
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import QueriedModel


def prepare(model: QueriedModel, data: Dataset, config: Config) -> Work:
    """Pick the expressions; one part of the work for each of their images."""
    picked = pick(data, model, config.images, config.seed)
    context = FaithfulnessContext(model, picked, config, fewest_tokens(model, picked))
    return Work(picked, lambda index: partial(image_rows, context, index), notes=picked.notes)
