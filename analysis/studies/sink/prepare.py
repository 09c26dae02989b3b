"""What the sink study does before its first row: marks of punctuation, towers of random weights."""

from functools import partial

from litelvlm.analysis.inputs.clip_models import randomised
from litelvlm.analysis.runs.work import Work
from litelvlm.analysis.studies.sink.config import Config
from litelvlm.analysis.studies.sink.rows import SinkContext, image_rows
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import TowerModel


def prepare(model: TowerModel, data: Dataset, config: Config) -> Work:
    """Draw the towers of random weights; one part of the work for each image, none opened."""
    tower = model.tower
    marks = tower.text([". , ; : ! ? ' \" ( ) -"])
    punctuation = frozenset(marks.input_ids[0, 1 : int(marks.eos_index[0])].tolist())
    random = tuple(randomised(model, config.seed + number) for number in range(config.random_seeds))
    context = SinkContext(model, random, data, config, punctuation)
    return Work(data, lambda index: partial(image_rows, context, index))
