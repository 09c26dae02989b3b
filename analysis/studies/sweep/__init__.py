"""How much of the mask survives when only some visual tokens reach the language model, method by method?

Every expression is grounded alone (protocol "single": one question, one answer template), all of an
image in one conversation with one selection (protocol "conversation"), or up to three drawn ones so
(protocol "official"); once per method and budget, on CLIP and SAM states that are computed once per
image. Controls stand in every table: the unpruned model, random tokens (several seeds), evenly
spaced ones, average pooling, and oracles that know the mask or avoid it.
Claims: the paper's method beats random tokens at each budget, and H8: at the largest budget it
keeps 90 % of the unpruned cIoU.
"""

from functools import partial
from pathlib import Path

import pandas as pd

from litelvlm.analysis.inputs.samples import Data, Model
from litelvlm.analysis.runs.config import resolve_budgets
from litelvlm.analysis.runs.engine import Study, run_study
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.stats.bootstrap import RESAMPLES
from litelvlm.analysis.studies.sweep.claims import reading, summarise
from litelvlm.analysis.studies.sweep.config import (
    DEFAULT_METHODS,
    PAPER,
    Config,
    Method,
    every_method,
)
from litelvlm.analysis.studies.sweep.no_target import no_target_table, without_target
from litelvlm.analysis.studies.sweep.passes import Context, Pass, expression_passes
from litelvlm.analysis.studies.sweep.rows import image_rows, load
from litelvlm.analysis.studies.sweep.tables import (
    comparison_table,
    score_bootstrap,
    score_table,
    seed_table,
    stratum_table,
    token_table,
    widen,
)

__all__ = [
    "DEFAULT_METHODS",
    "PAPER",
    "QUESTION",
    "STUDY",
    "Config",
    "Context",
    "Method",
    "Pass",
    "every_method",
    "expression_passes",
    "run",
    "summarise",
    "tables",
]

QUESTION = "How much of the unpruned accuracy does each method keep at each token budget?"
CODE = ("samples", "sweep_config", "sweep_passes", "sweep_rows")


def run(
    model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None
) -> Path:
    """Compute the missing rows of a split and, once all are there, the summary.

    A method that cannot keep to a budget has no rows there; the run's record says so with the
    reason.

    Args:
        model: Grounding model.
        data: Split to evaluate.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute; all if left out.

    Returns:
        The run folder.
    """
    budgets = resolve_budgets(config.budgets, model.grid[0] * model.grid[1])
    context = Context(model, data, config, budgets)
    notes = tuple(f"{cell} is left out: {reason}" for cell, reason in context.excluded.items())
    return run_study(
        STUDY,
        model,
        data,
        config,
        out,
        shard or Shard(),
        partial(image_rows, context),
        {"budgets": list(budgets)},
        load=partial(load, context),
        notes=notes,
    )


def tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" (cIoU, gIoU, P@0.5 per cell), "comparisons" (paired differences and retention),
        "seeds" (each draw alone), "tokens" (tokens at the input and per layer) and, where there are
        such expressions, "kinds" (scores by kind) and "no_target" (N-acc, T-acc and the scores that
        go with them).
    """
    if rows.empty:
        return {}
    wide = widen(rows)
    scores = score_bootstrap(wide, resamples, seed)
    found = {
        "scores": score_table(wide, scores),
        "comparisons": comparison_table(wide, scores, resamples, seed),
        "seeds": seed_table(rows),
        "tokens": token_table(rows),
    }
    if rows["kind"].nunique() > 1:
        found["kinds"] = stratum_table(rows, "kind", resamples, seed)
    if without_target(rows).any():
        found["no_target"] = no_target_table(rows, resamples, seed)
    return found


STUDY = Study("sweep", summarise, tables, reading, tuple(f"analysis.{name}" for name in CODE))
