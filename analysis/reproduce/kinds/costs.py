"""The table of costs: each method timed and counted on one image, against the unpruned model."""

from collections.abc import Mapping

from litelvlm.analysis.inputs.methods import PAPER, AnyMethod, Method
from litelvlm.analysis.reproduce.budgets import budget_of
from litelvlm.analysis.reproduce.kinds.cost_lines import cost_lines
from litelvlm.analysis.reproduce.kinds.kind import (
    PLAIN_INTERVAL,
    FinishedSplit,
    Kind,
    splits_in_words,
)
from litelvlm.analysis.reproduce.lines import Line
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.work import PUBLISHED, Sizes, Workload
from litelvlm.analysis.studies import efficiency
from litelvlm.analysis.studies.sweep import config as sweep_config
from litelvlm.analysis.studies.sweep.passes import divide_cells


def _options(settings: Settings) -> Mapping[str, object]:
    return {"methods": settings.methods}


def _lines(split: FinishedSplit) -> tuple[Line, ...]:
    tables = {title: split.run.summary.table(title) for title in ("ratios", "costs")}
    gpu = split.run.record.model["device"] == "cuda"
    return cost_lines(tables, split.name, split.n_tokens, not split.miniature, gpu)


def efficiency_work(
    config: efficiency.Config, splits: int = 1, sizes: Sizes = PUBLISHED
) -> Workload:
    """What the study ``efficiency`` computes on one image of each split.

    Each arm and round is a prefill, an answer token by token, and a whole call. Behind the rounds
    an arm's prefill runs three times more and every other component once, to count operations and
    bytes.
    """
    budgets = tuple(int(budget) for budget in config.budgets or ())
    arms = [float(sizes.n_tokens)]
    for method in config.methods:
        asked = (sizes.n_tokens, *budgets) if method.label == PAPER else budgets
        cells, _ = divide_cells(_one(method), {count: count for count in asked}, sizes.model)
        arms += [cell.n_average for cell in cells]
    rounds = config.rounds + config.warm_up
    calls, whole = (
        rounds if config.prefill_only else 3 * rounds,
        0 if config.prefill_only else rounds,
    )
    macs = (calls + 3) * sizes.passes(arms)
    macs += len(arms) * (whole + (whole > 0)) * (sizes.image_macs + sizes.mask_macs)
    macs += len(arms) * whole * (config.decoded + 1) * sizes.token_macs
    return Workload(splits, len(arms) * (calls + 3), splits * macs)


def _one(method: AnyMethod) -> sweep_config.Config:
    return sweep_config.Config(methods=(method,), seeds=1)


def _work(settings: Settings, sizes: Sizes) -> Workload:
    budgets = tuple(budget_of(tokens, sizes.n_tokens) for tokens in settings.tokens)
    methods = tuple(Method.parse(label) for label in settings.methods)
    config = efficiency.Config(methods=methods, budgets=budgets)
    return efficiency_work(config, len(settings.splits), sizes)


def _sentence(settings: Settings, work: Workload) -> str:
    return (
        f"study {COSTS.study} on one image of {splits_in_words(settings)}, {work.passes} passes "
        "of the language model"
    )


COSTS = Kind(
    study="efficiency",
    options=_options,
    lines=_lines,
    work=_work,
    sentence=_sentence,
    interval=PLAIN_INTERVAL,
    takes_part=False,
    times_encoding=True,
)
