"""What the ablations do before their first row: contexts of each protocol."""

from collections.abc import Callable, Iterator
from functools import partial

from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.ablations.config import (
    ALTERED,
    CONTEXT_ONLY,
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
    ranker_of,
)
from litelvlm.analysis.studies.sweep.config import sweep_of
from litelvlm.analysis.studies.sweep.passes import SweepContext
from litelvlm.analysis.studies.sweep.rows import load
from litelvlm.data.dataset import Dataset
from litelvlm.models.base import GroundingModel, QueriedModel
from litelvlm.pruning import get_pruner
from litelvlm.pruning.cue_table import OF_CLIP


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
    n_texts = len({candidate.image_id for candidate in foreign})
    altered = tuple(label for label in altered if not lack_for(label, model, chosen, n_texts))
    return AblationContext(
        model,
        chosen,
        single,
        config.budgets,
        foreign=foreign,
        seed=config.seed,
        altered=altered,
        attention=isinstance(model, QueriedModel) and "attention" in config.requests,
        rounding="rounding" in config.requests,
        coalitions=config.coalitions,
    )


def lack_for(label: str, model: GroundingModel, data: Dataset, n_texts: int) -> str:
    """What the model or the data lack for one of ``ALTERED``; empty if it can be run.

    Args:
        label: The method.
        model: Whose tokens it chooses.
        data: The chosen expressions.
        n_texts: Images whose texts can replace others.
    """
    lacks = get_pruner(ranker_of(label)).needs & model.lacks
    if lacks & OF_CLIP or (label != KERNEL_SHAP and model.lacks & OF_CLIP):
        return "a text tower of CLIP is needed"
    if lacks:
        return f"{QueriedModel.described} is needed"
    if unshuffled(label) and n_texts < 2:
        return "texts of two images at least are needed"
    clips = any(data[index].frames > 1 for index in range(len(data)))
    return "it chooses in one image, not in a clip" if clips and label == CONTEXT_ONLY else ""


def left_out(context: AblationContext, config: Config) -> Iterator[str]:
    """What of the configuration is not run, and why."""
    n_texts = len({candidate.image_id for candidate in context.foreign})
    for label in ALTERED:
        lack = lack_for(label, context.model, context.data, n_texts)
        if lack and label in config.methods:
            yield f"{label} is left out: {lack}"
    if "attention" in config.requests and not context.attention:
        yield f"attention is left out: {QueriedModel.described} is needed"


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

    used = [method for one in (context, *protocols) for method in one.config.methods]
    return Work(
        chosen,
        begin,
        resolved=context.resolved,
        methods=tuple(method.pruner() for method in used),
        excluded=context.excluded,
        notes=tuple(left_out(context, config)),
    )
