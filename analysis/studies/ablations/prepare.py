"""What the ablations do before their first row: contexts of each protocol."""

from collections.abc import Callable
from functools import partial

from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.ablations.config import (
    ALTERED,
    KERNEL_SHAP,
    RIVALS,
    TOGETHER,
    Config,
    unshuffled,
)
from litelvlm.analysis.studies.ablations.rows import (
    AblationContext,
    IndexContext,
    ablation_rows,
)
from litelvlm.analysis.studies.sweep.config import sweep_of
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import load
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel
from litelvlm.pruning.cues import OF_CLIP


def make_context(
    model: GroundingModel,
    data: Dataset,
    chosen: EvenSubset,
    config: Config,
) -> AblationContext:
    """Context of the chosen expressions in the single protocol."""
    methods = tuple(label for label in config.methods if label not in ALTERED)
    altered = tuple(label for label in config.methods if label in ALTERED)
    single = sweep_of(config, methods, config.random_seeds)
    exchanged = any(map(unshuffled, altered))
    foreign = draw_foreign(data, model, config.pool, config.seed) if exchanged else ()
    if len({candidate.image_id for candidate in foreign}) < 2:
        altered = tuple(label for label in altered if not unshuffled(label))
    if model.lacks & OF_CLIP:
        altered = tuple(label for label in altered if label == KERNEL_SHAP)
    return AblationContext(
        model,
        chosen,
        single,
        config.budgets,
        foreign=foreign,
        seed=config.seed,
        altered=altered,
        attention="attention" in config.requests,
        rounding="rounding" in config.requests,
        coalitions=config.coalitions,
    )


def protocol_contexts(
    model: GroundingModel, whole: EvenSubset, config: Config
) -> tuple[SweepContext, SweepContext]:
    """Contexts of the official and the single protocol, on the method, its parts and controls.

    The official one runs the rivals too, where they are asked for. The single one measures the
    reversal index of every expression.
    """
    rivals = RIVALS if "rivals" in config.requests else ()
    drawn = {"protocol": "official", "question_index": 0, "answer_index": 0}
    official = sweep_of(config, (*TOGETHER, *rivals), config.official_seeds, **drawn)
    single = sweep_of(config, TOGETHER, config.official_seeds)
    return SweepContext(model, whole, official, config.budgets), IndexContext(
        model, whole, single, config.budgets
    )


def prepare(model: GroundingModel, data: Dataset, config: Config) -> Work:
    """Make the contexts of every protocol; one part of the work for each chosen image."""
    chosen = EvenSubset(data, config.images, config.expressions)
    whole = EvenSubset(data, config.images)
    context = make_context(model, data, chosen, config)
    protocols = protocol_contexts(model, whole, config) if "protocol" in config.requests else ()

    def begin(index: int) -> Callable[[], ItemResult]:
        loaded = load(context, index)
        both = (loaded, load(protocols[0], index) if protocols else loaded)
        return partial(ablation_rows, context, protocols, both)

    lacking = [m for m in config.methods if m in ALTERED and m not in context.altered]
    why = "a text tower of CLIP is" if model.lacks & OF_CLIP else "texts of two images at least are"
    used = [method for one in (context, *protocols) for method in one.config.methods]
    return Work(
        chosen,
        begin,
        resolved=context.resolved,
        methods=tuple(method.pruner() for method in used),
        excluded=context.excluded,
        notes=tuple(f"{label} is left out: {why} needed" for label in lacking),
    )
