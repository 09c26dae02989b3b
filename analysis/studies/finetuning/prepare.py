"""What the fine-tuning study does before its first row: fine-tune what is not there yet."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial

from litelvlm import load_refer
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.finetuning.config import Config
from litelvlm.analysis.studies.finetuning.rows import TunedContext, tuned_rows
from litelvlm.analysis.studies.finetuning.trainings import Tuned, tuned_models
from litelvlm.analysis.studies.sweep.config import sweep_of
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import load
from litelvlm.data.dataset import Dataset
from litelvlm.data.refer import ReferDataset, ReferSample
from litelvlm.models.glamm.model import Glamm


def prepare(model: Glamm, data: Dataset, config: Config) -> Work:
    """Read or train the models; one part of the work for each chosen image.

    Raises:
        ValueError: If a budget is impossible, an image would be trained on and evaluated, a folder
            holds another training, or the model cannot be trained.
    """
    budget_counts(config.budgets, model.n_tokens)
    learned = load_refer(config.train_data, split=config.train_split)
    check_apart(learned, data)
    return work_of([*tuned_models(model, learned, config)], data, config)


def check_apart(learned: ReferDataset, data: Dataset) -> None:
    """Refuse to evaluate on images that were trained on.

    Images are the same if their file is. Copies in another folder are known if the whole split is
    the same.

    Args:
        learned: What is trained on.
        data: What is evaluated on.

    Raises:
        ValueError: If they share an image.
    """
    known = {sample.path.resolve() for sample in learned}
    held = (data[index] for index in range(len(data)))
    shared = sum(isinstance(one, ReferSample) and one.path.resolve() in known for one in held)
    if data.digest == learned.digest:
        shared = len(data)
    if shared:
        raise ValueError(
            f"{shared} of {len(data)} images of {data.name} {data.split} are trained on "
            f"({learned.name} {learned.split}); evaluate on another split (--split), or train on "
            "one with other images (finetuning.train_data, finetuning.train_split)"
        )


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
