"""What is left of the method's advantage when each of its parts is taken away, turned round or replaced?

Reviewers asked for it row by row; the requests and the methods that answer them are in
``litelvlm.analysis.studies.ablations.config``:

    llm_score    tokens chosen by what the language model itself attends to or depends on, from an
                 unpruned first pass
    llm_shapley  tokens chosen by Shapley values of their blocks, from very many passes
    worst_first  the highest similarities instead of the lowest
    falsify      random and even tokens, mask oracles, other texts, no text, norms, cosine, another
                 layer
    recovery     a share of the budget for context tokens, and their order
    rivals       published methods, for H7
    rounding     scores in bfloat16, as the official evaluation ranks them: which tokens change, and
                 what it costs
    protocol     the official evaluation's draws of expressions and templates, seeds 0 to 4, beside
                 the same expressions asked alone; and which part of the method carries its score
                 there
    attention    correlation of the reversed similarity with the language model's attention

All are paired with the paper's method on the same images, expressions and template. H7: the paper's
method exceeds the best rival by more than 5 % of that rival's cIoU, whichever rival it is.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from litelvlm.analysis.inputs.foreign import draw_foreign
from litelvlm.analysis.inputs.samples import Data, Model
from litelvlm.analysis.inputs.subset import EvenSubset
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.engine import Study, run_study
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.studies.ablations.claims import reading, summarise
from litelvlm.analysis.studies.ablations.config import ALTERED, SHUFFLED, TOGETHER, Config
from litelvlm.analysis.studies.ablations.rows import AblationContext, ablation_rows
from litelvlm.analysis.studies.ablations.tables import tables
from litelvlm.analysis.studies.sweep import config as sweep_config
from litelvlm.analysis.studies.sweep.config import Method
from litelvlm.analysis.studies.sweep.passes import Context
from litelvlm.analysis.studies.sweep.rows import Loaded, load

__all__ = ["QUESTION", "STUDY", "Config", "reading", "run", "summarise", "tables"]

QUESTION = (
    "What is left of the method when each part of it is taken away, turned round or replaced?"
)


def run(
    model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None
) -> Path:
    """Compute the missing rows and, once all are there, the summary.

    Args:
        model: Grounding model.
        data: Split to take images from.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute; all if left out.

    Returns:
        The run folder.
    """
    n_tokens = model.grid[0] * model.grid[1]
    budgets = resolve_budgets(
        config.budgets or tuple(max(1, n_tokens // part) for part in (3, 9)), n_tokens
    )
    chosen, whole = (
        EvenSubset(data, config.images, config.expressions),
        EvenSubset(data, config.images),
    )
    context = make_context(model, data, chosen, config, budgets)
    protocols = (
        protocol_contexts(model, whole, config, budgets) if "protocol" in config.requests else ()
    )
    notes = tuple(f"{cell} is left out: {reason}" for cell, reason in context.excluded.items())
    if SHUFFLED in config.methods and SHUFFLED not in context.altered:
        notes += (f"{SHUFFLED} is left out: texts of two images at least are needed",)
    return run_study(
        STUDY,
        model,
        chosen,
        config,
        out,
        shard or Shard(),
        partial(ablation_rows, context, protocols),
        {"budgets": list(budgets)},
        load=partial(load_both, context, protocols),
        notes=notes,
    )


def make_context(
    model: Model, data: Data, chosen: EvenSubset, config: Config, budgets: tuple[int, ...]
) -> AblationContext:
    """Context of the expressions asked alone."""
    methods = tuple(label for label in config.methods if label not in ALTERED)
    altered = tuple(label for label in config.methods if label in ALTERED)
    asked = sweep_config.Config(
        methods=tuple(Method.parse(label) for label in methods),
        budgets=budgets,
        seeds=config.random_seeds,
        question_index=config.question_index,
        answer_index=config.answer_index,
        batch_size=config.batch_size,
    )
    donors = draw_foreign(data, model, config.pool, config.seed) if SHUFFLED in altered else ()
    if len({donor.image_id for donor in donors}) < 2:
        altered = tuple(label for label in altered if label != SHUFFLED)
    return AblationContext(
        model,
        chosen,
        asked,
        budgets,
        donors,
        config.seed,
        altered,
        "attention" in config.requests,
        "rounding" in config.requests,
        config.coalitions,
    )


def protocol_contexts(
    model: Model, whole: EvenSubset, config: Config, budgets: tuple[int, ...]
) -> tuple[Context, Context]:
    """Contexts of the official protocol and of every expression asked alone, on the method, its parts and controls."""
    methods = tuple(Method.parse(label) for label in TOGETHER)
    official = sweep_config.Config(
        methods=methods,
        seeds=config.official_seeds,
        batch_size=config.batch_size,
        protocol="official",
    )
    alone = sweep_config.Config(
        methods=methods,
        seeds=config.official_seeds,
        question_index=config.question_index,
        answer_index=config.answer_index,
        batch_size=config.batch_size,
    )
    return Context(model, whole, official, budgets), Context(model, whole, alone, budgets)


def load_both(context: Context, protocols: Sequence[Context], index: int) -> tuple[Loaded, Loaded]:
    """One image with the chosen expressions, and with all of them if protocols are compared."""
    chosen = load(context, index)
    return chosen, load(protocols[0], index) if protocols else chosen


STUDY = Study(
    "ablations",
    summarise,
    tables,
    reading,
    tuple(
        f"analysis.{name}"
        for name in (
            "ablations_config",
            "ablations_measures",
            "ablations_rows",
            "donors",
            "importance_asked",
            "importance_removal",
            "importance_signals",
            "labels",
            "ranking_measures",
            "samples",
            "subset",
            "sweep_config",
            "sweep_passes",
            "sweep_rows",
        )
    ),
)
