"""What the quantisation study does before its first row: a model of each precision."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import metadata

from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.quantisation.config import FULL, Config
from litelvlm.analysis.studies.quantisation.memory import component_bytes
from litelvlm.analysis.studies.quantisation.rows import PrecisionContext, precision_rows
from litelvlm.analysis.studies.sweep.config import sweep_of
from litelvlm.analysis.studies.sweep.rows import load
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel
from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.quantise import (
    BACKEND,
    check_quantise,
    is_quantised,
    with_quantised_language_model,
)


def prepare(model: Glamm, data: Dataset, config: Config) -> Work:
    """Quantise copies of the language model; one part of the work for each chosen image.

    The copies share all other weights with the model.

    Raises:
        ValueError: If what quantises is not installed, or the language model has fewer bits
            already.
    """
    for way in config.precisions:
        check_quantise(way)
    if is_quantised(model.llama):
        raise ValueError(
            f"{model.name!r} has fewer bits already, and this study compares with all of them; "
            "leave out quantise"
        )
    models = {FULL: model} | {
        way: with_quantised_language_model(model, way) for way in config.precisions
    }
    sizes = {name: component_bytes(one) for name, one in models.items()}
    work = work_of(models, sizes, data, config)
    # Other kernels round differently, so the package that quantises is part of the key.
    return replace(work, resolved={**(work.resolved or {}), BACKEND: metadata.version(BACKEND)})


def work_of(
    models: Mapping[str, GroundingModel],
    sizes: Mapping[str, Mapping[str, int]],
    data: Dataset,
    config: Config,
) -> Work:
    """The work with models of each precision at hand.

    Args:
        models: By precision, that with all bits first.
        sizes: Bytes of their components.
        data: The split.
        config: Of the study.

    Raises:
        ValueError: If no method can keep to a budget.
    """
    chosen = EvenSubset(data, config.images, config.expressions)
    swept = sweep_of(config, config.methods, config.seeds)
    contexts = {
        name: PrecisionContext(one, chosen, swept, config.budgets, sizes[name])
        for name, one in models.items()
    }
    contexts[FULL].check_prunes()

    def begin(index: int) -> Callable[[], ItemResult]:
        return partial(precision_rows, contexts, config.methods, load(contexts[FULL], index))

    return Work(
        chosen,
        begin,
        resolved=contexts[FULL].resolved,
        methods=tuple(method.pruner() for method in config.methods),
        excluded=contexts[FULL].excluded,
    )
