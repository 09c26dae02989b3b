"""What the study ``ablations`` computes: one expression of each image through every method."""

from collections.abc import Iterable, Sequence

from litelvlm.analysis.inputs.methods import Method
from litelvlm.analysis.reproduce.work import PUBLISHED, TURNS, Sizes, Workload
from litelvlm.analysis.studies import ablations
from litelvlm.analysis.studies.ablations.config import ALTERED, KERNEL_SHAP, RIVALS, TOGETHER
from litelvlm.analysis.studies.sweep import config as sweep_config
from litelvlm.analysis.studies.sweep.passes import divide_cells
from litelvlm.models.glamm.attribution.importance import BLOCKS

_SIGNALS = {"llm_attention": 1, "llm_prompt_attention": 1, "llm_gradient": 3}
"""Unpruned passes behind a signal of the language model; a gradient is a pass there and back behind
that of the reference mask."""


def ablation_work(
    config: ablations.Config,
    images: Sequence[int],
    sentences: Sequence[float],
    sizes: Sizes = PUBLISHED,
) -> Workload:
    """What the study ``ablations`` computes.

    One expression of each image goes through every method; the protocols ask all of them.

    Args:
        config: Of the study; its budgets are counts.
        images: Images of each split.
        sentences: Expressions of an image there, on average.
        sizes: Of the model.
    """
    budgets = tuple(int(budget) for budget in config.budgets or ())
    plain = [label for label in config.methods if label not in ALTERED]
    altered = [label for label in config.methods if label in ALTERED]
    single = _cells(plain, budgets, config.random_seeds, sizes)
    single += [float(budget) for _ in altered for budget in budgets]
    both = _cells(TOGETHER, budgets, config.official_seeds, sizes)
    rivals = RIVALS if "rivals" in config.requests else ()
    official = _cells((*TOGETHER, *rivals), budgets, None, sizes)
    signals = sizes.passes([*_signals(plain, config, sizes)])
    compared = "protocol" in config.requests
    total, passes = 0.0, 0
    for count, each in zip(images, sentences, strict=True):
        alone = sizes.answers(single) + signals
        macs = sizes.image_macs + alone
        n = 1 + len(single)
        if compared:
            drawn = sizes.answers(official, TURNS)
            macs += 2 * sizes.image_macs + config.official_seeds * drawn
            macs += each * sizes.answers(both)
            n += config.official_seeds * (1 + len(official)) + round(each * (1 + len(both)))
        total += count * macs
        passes = max(passes, n)
    return Workload(sum(images), passes, total)


def _cells(
    labels: Iterable[str], budgets: tuple[int, ...], seeds: int | None, sizes: Sizes
) -> list[float]:
    """Visual tokens of every possible pass besides the unpruned one; one draw each without seeds.

    A method whose cells are left out by the study is left out here too.
    """
    config = sweep_config.Config(
        methods=tuple(Method.parse(label) for label in labels),
        seeds=seeds or 1,
        protocol="single" if seeds else "official",
    )
    cells, _ = divide_cells(config, {count: count for count in budgets}, sizes.model)
    return [cell.n_average for cell in cells]


def _signals(labels: Iterable[str], config: ablations.Config, sizes: Sizes) -> Iterable[float]:
    """Visual tokens of the passes that scores of the language model need, each score once."""
    needs = {need for label in labels for need in Method.parse(label).pruner().needs}
    for name, count in _SIGNALS.items():
        yield from [float(sizes.n_tokens)] * (count if name in needs else 0)
    if "attention" in config.requests:
        yield float(sizes.n_tokens)
    if "block_importance" in needs:
        yield from [float(sizes.n_tokens)] * (1 + BLOCKS**2)
    if KERNEL_SHAP in config.methods:  # a coalition and its complement hold all tokens
        yield from [sizes.n_tokens / 2] * (config.coalitions + 2)
