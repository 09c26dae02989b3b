"""What each table computes, from the configuration of its study and the sizes of the model."""

from collections.abc import Iterable, Sequence
from typing import cast

from transformers import CLIPConfig, CLIPVisionConfig, SamMaskDecoderConfig, SamVisionConfig

from litelvlm.analysis.inputs.methods import PAPER, AnyMethod, Method
from litelvlm.analysis.reproduce.settings import Settings
from litelvlm.analysis.reproduce.targets import budget_of
from litelvlm.analysis.reproduce.work import (
    OTHER_TOKENS,
    PUBLISHED,
    STATE_BYTES,
    Sizes,
    Work,
    published_counts,
    work_of,
)
from litelvlm.analysis.studies import ablations, efficiency
from litelvlm.analysis.studies.ablations.config import ALTERED, KERNEL_SHAP, RIVALS, TOGETHER
from litelvlm.analysis.studies.sweep import config as sweep_config
from litelvlm.analysis.studies.sweep.passes import divide_cells
from litelvlm.data.embedded import EMBEDDED
from litelvlm.models.costs import transformer_macs
from litelvlm.models.glamm.attribution.importance import BLOCKS
from litelvlm.models.glamm.checkpoints.config import read_config, sam_config
from litelvlm.models.glamm.checkpoints.source import clip_source, locate
from litelvlm.models.glamm.costs import mask_decoder_macs, sam_encoder_macs
from litelvlm.pruning.budgets import ModelSizes

TURNS = 3
"""Expressions of an official conversation."""
_SIGNALS = {"llm_attention": 1, "llm_prompt_attention": 1, "llm_gradient": 3}
"""Unpruned passes behind a signal of the language model; a gradient is a pass there and back behind
that of the reference mask."""


def work_for(settings: Settings) -> Work:
    """What the model computes for a table: the published one, or the user's own by its sizes.

    Raises:
        ValueError: As ``sizes_for``.
        FileNotFoundError: As ``sizes_for``.
    """
    study, sizes = settings.target.study, sizes_for(settings)
    tokens = tuple(budget_of(kept, sizes.n_tokens) for kept in settings.tokens)
    counts = [counts_for(settings, *place) for place in settings.splits]
    few = [n if settings.images is None else min(n, settings.images) for n, _ in counts]
    if study == "sweep":
        return work_of(few, len(settings.methods), tokens, settings.draws, sizes)
    if study == "ablations":
        asked = ablations.Config(budgets=tokens, official_seeds=settings.draws, images=None)
        return ablation_work(asked, few, [each for _, each in counts], sizes)
    methods = tuple(Method.parse(label) for label in settings.methods)
    timed = efficiency.Config(methods=methods, budgets=tokens)
    return efficiency_work(timed, len(settings.splits), sizes)


def sizes_for(settings: Settings) -> Sizes:
    """Sizes of the model: those of the published one, or what the files of another state.

    Raises:
        ValueError: If a model is named that is neither known nor a folder, or its files are wrong.
        FileNotFoundError: If a part of it is missing.
    """
    if settings.model is None:
        return PUBLISHED
    folder = locate(settings.model, fetch=False).folder
    config = read_config(folder)
    clip = clip_source(folder, config, settings.clip).folder
    vision = cast(CLIPVisionConfig, CLIPConfig.from_pretrained(clip).vision_config)
    sam = sam_config(config)
    encoder = cast(SamVisionConfig, sam.vision_config)
    decoder = cast(SamMaskDecoderConfig, sam.mask_decoder_config)
    # transformers also allows a pair of sizes; a GLaMM's towers have squares.
    patch_size, image_size = cast(int, vision.patch_size), cast(int, vision.image_size)
    n_tokens = (image_size // patch_size) ** 2
    side = cast(int, encoder.image_size) // cast(int, encoder.patch_size)
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    blocks = vision.num_hidden_layers - 1  # the last one is not run
    tower = 3 * patch_size**2 * vision.hidden_size * n_tokens
    tower += transformer_macs(n_tokens + 1, blocks, vision.hidden_size, vision.intermediate_size)
    return Sizes(
        layers,
        width,
        config["intermediate_size"],
        OTHER_TOKENS,
        ModelSizes(n_tokens, blocks, layers),
        tower + sam_encoder_macs(encoder, side),
        mask_decoder_macs(decoder, side**2) + width * (width + decoder.hidden_size),
    )


def counts_for(settings: Settings, dataset: str, split: str) -> tuple[int, float]:
    """Images of a split and expressions of an image on average.

    Those of a bundled data set are few; its number of expressions is taken to be the published one.
    """
    images, sentences = published_counts(dataset, split)
    bundled = EMBEDDED.get(settings.data or "")
    seeds = bundled.seeds.get(split) if bundled else None
    return (images if seeds is None else len(seeds)), sentences


def cached_bytes(settings: Settings) -> int:
    """What the encoded images of a table take on a disk, at most; 0 for a model of the user's own.

    Such a model has another size, which is not known before it is loaded.
    """
    return int(work_for(settings).images * STATE_BYTES) if settings.model is None else 0


def ablation_work(
    config: ablations.Config,
    images: Sequence[int],
    sentences: Sequence[float],
    sizes: Sizes = PUBLISHED,
) -> Work:
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
    return Work(sum(images), passes, total)


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
    return [cell.n_average for cell in divide_cells(config, budgets, sizes.model)[0]]


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


def efficiency_work(config: efficiency.Config, splits: int = 1, sizes: Sizes = PUBLISHED) -> Work:
    """What the study ``efficiency`` computes on one image of each split.

    Each arm and round is a prefill, an answer token by token, and a whole call. Behind the rounds
    an arm's prefill runs three times more and every other component once, to count operations and
    bytes.
    """
    budgets = tuple(int(budget) for budget in config.budgets or ())
    arms = [float(sizes.n_tokens)]
    for method in config.methods:
        asked = (sizes.n_tokens, *budgets) if method.label == PAPER else budgets
        arms += [cell.n_average for cell in divide_cells(_one(method), asked, sizes.model)[0]]
    rounds = config.rounds + config.warm_up
    calls, whole = (
        rounds if config.prefill_only else 3 * rounds,
        0 if config.prefill_only else rounds,
    )
    macs = (calls + 3) * sizes.passes(arms)
    macs += len(arms) * (whole + (whole > 0)) * (sizes.image_macs + sizes.mask_macs)
    macs += len(arms) * whole * (config.decoded + 1) * sizes.token_macs
    return Work(splits, len(arms) * (calls + 3), splits * macs)


def _one(method: AnyMethod) -> sweep_config.Config:
    return sweep_config.Config(methods=(method,), seeds=1)
