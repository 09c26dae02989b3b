"""What the causal sink study does before its first row: it names the budgets."""

from functools import partial

from litelvlm.analysis.inputs.samples import token_counts
from litelvlm.analysis.runs.config import budget_record
from litelvlm.analysis.runs.work import Work
from litelvlm.analysis.studies.sink_causal.config import Config
from litelvlm.analysis.studies.sink_causal.rows import SinkCausalContext, image_rows
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import TowerModel


def prepare(model: TowerModel, data: Dataset, config: Config) -> Work:
    """One part of the work for each image."""
    counts = token_counts(model, data)
    context = SinkCausalContext(model, data, config, counts[0])
    return Work(
        data,
        lambda index: partial(image_rows, context, index),
        resolved=budget_record(config.budgets, counts),
    )
