"""What the fine-tuning study does before its first row: fine-tune what is not there yet."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.finetuning.config import Config
from litelvlm.analysis.studies.finetuning.rows import TunedContext, tuned_rows
from litelvlm.analysis.studies.finetuning.trainings import Tuned, tuned_models
from litelvlm.analysis.studies.sweep.config import sweep_of
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import load
from litelvlm.data.dataset import Dataset
from litelvlm.models.glamm.model import Glamm


def prepare(model: Glamm, data: Dataset, config: Config) -> Work:
    """Read or train the models; one part of the work for each chosen image.

    Raises:
        ValueError: If a folder holds another training, or the model cannot be trained.
    """
    return work_of([*tuned_models(model, config)], data, config)


def work_of(models: Sequence[Tuned], data: Dataset, config: Config) -> Work:
    """The work with all models at hand; the run's key holds the digest of their weights.

    Args:
        models: The model before first.
        data: The split.
        config: Of the study.
    """
    chosen = EvenSubset(data, config.images, config.expressions)
    swept = sweep_of(config, config.methods, config.draws)
    contexts = [
        TunedContext(
            one.tuned_with, one.training, SweepContext(one.model, chosen, swept, config.budgets)
        )
        for one in models
    ]
    first = contexts[0].context
    digest = hashlib.sha256("".join(one.model.digest for one in models).encode())

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(tuned_rows, contexts, load(first, index))

    return Work(
        chosen,
        begin,
        resolved={**first.resolved, "trained": digest.hexdigest()[:16]},
        methods=tuple(method.pruner() for method in config.methods),
        excluded=first.excluded,
    )
