"""What the bench does before its first row: methods at budgets, each with its call."""

from collections.abc import Sequence

from litelvlm.analysis.inputs.methods import PAPER, UNPRUNED
from litelvlm.analysis.inputs.samples import view_of
from litelvlm.analysis.runs.config import budget_counts
from litelvlm.analysis.runs.outcome import Exclusion
from litelvlm.analysis.runs.work import ItemResult, Work
from litelvlm.analysis.studies.efficiency.config import Config
from litelvlm.analysis.studies.efficiency.rows import Arm, measure
from litelvlm.data.dataset import Dataset, Sample
from litelvlm.models.timed import TimedCall, TimedModel


def arms_of(
    model: TimedModel, sample: Sample, config: Config, budgets: Sequence[int]
) -> tuple[dict[Arm, TimedCall], tuple[Exclusion, ...]]:
    """What is timed on one image or clip, each with its call, and why the rest is not."""
    calls, excluded = dict[Arm, TimedCall](), dict[tuple[str, int], Exclusion]()
    sizes, frames = model.sizes(view_of(model, sample).n_tokens), sample.clip[:]
    texts = [expression.sent for expression in sample.expressions]
    for n_text in config.n_texts:
        unpruned = Arm(UNPRUNED, None, sizes.n_tokens, n_text)
        calls[unpruned] = model.timed_call(frames, texts[:n_text], None, sizes.n_tokens)
        for method in config.methods:
            whole = (sizes.n_tokens,) if method.label == PAPER else ()
            for budget in dict.fromkeys((*whole, *budgets)):
                pruner = method.pruner()
                arm = Arm(method.label, pruner, budget, n_text)
                try:
                    pruner.average_tokens(budget, sizes)
                    calls[arm] = model.timed_call(frames, texts[:n_text], pruner, budget)
                except ValueError as error:
                    excluded[method.label, budget] = Exclusion(
                        method=method.label, budget=budget, reason=str(error)
                    )
    return calls, tuple(excluded.values())


def prepare(model: TimedModel, data: Dataset, config: Config) -> Work:
    """Choose the arms; all rounds on the first image or clip are one part."""
    sample = data[0]
    one = "image" if sample.frames == 1 else "clip"
    if max(config.n_texts) > len(sample.expressions):
        raise ValueError(
            f"n_texts asks for {max(config.n_texts)} expressions, and the first {one} has "
            f"{len(sample.expressions)}; name smaller numbers"
        )
    sizes = model.sizes(view_of(model, sample).n_tokens)
    budgets = budget_counts(config.budgets, sizes.n_tokens)
    calls, excluded = arms_of(model, sample, config, budgets)
    if config.methods and not any(arm.pruner for arm in calls):
        reasons = "; ".join(left.words for left in excluded)
        raise ValueError(f"no method can be timed on this model: {reasons}")

    def rounds() -> ItemResult:
        return ItemResult(list(measure(model, config, calls)))

    return Work(
        data,
        lambda index: rounds,
        sizes=[len(calls)],
        resolved={"budgets": list(budgets)},
        methods=tuple(arm.pruner for arm in calls if arm.pruner is not None),
        excluded=excluded,
    )
