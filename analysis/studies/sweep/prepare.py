"""What a sweep does before its first row: which methods can keep to which budgets."""

from collections.abc import Callable
from functools import partial

from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import image_rows, load
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel


def prepare(model: GroundingModel, data: Dataset, config: Config) -> Work:
    """Divide methods and budgets into what is possible and what is not.

    Raises:
        ValueError: If methods that prune were asked for, and none can keep to a budget.
    """
    context = SweepContext(model, data, config, config.budgets)
    if context.excluded:
        context.check_prunes()

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(image_rows, context, load(context, index))

    return Work(
        data,
        begin,
        resolved=context.resolved,
        methods=tuple(method.pruner() for method in config.methods),
        excluded=context.excluded,
        protocol=config.protocol,
    )
