"""How much of the mask survives when only some visual tokens reach the language model, method by method?

Every expression is grounded alone (protocol "single": one question, one answer template), once per method and budget,
on CLIP and SAM states that are computed once per image. Controls stand in every table: the unpruned model, random
tokens (several seeds), evenly spaced ones, average pooling, and oracles that know the mask or avoid it. Claims: the
paper's method beats random tokens at each budget, and H8: at the largest budget it keeps 90 % of the unpruned cIoU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from analysis.claims import Claim, make_claim
from analysis.config import Budgets, Count, StudyConfig, resolve_budgets
from analysis.engine import ItemResult, Study, run_study
from analysis.locks import Shard
from analysis.samples import Data, Model, key_columns, naming, target_mask, token_coverage
from analysis.statistics import RESAMPLES, Bootstrap, Estimate
from analysis.sweep_tables import (
    ONE_SIDED,
    RANDOM,
    UNPRUNED,
    budgets_of,
    cell_index,
    comparison_table,
    difference,
    retention,
    score_bootstrap,
    score_table,
    seed_table,
    stratum_table,
    swap_p_value,
    widen,
)
from litelvlm.glamm.prompts import ANSWERS, QUESTIONS, conversation
from litelvlm.metrics import intersection_union, iou
from litelvlm.pruning import Pruner, Selection, get_pruner

QUESTION = "How much of the unpruned accuracy does each method keep at each token budget?"
PAPER, RETAINED = "litelvlm", 0.90
DEFAULT_METHODS = (
    PAPER,
    "high_similarity",
    RANDOM,
    "uniform",
    "avgpool",
    "mask_oracle",
    "inverse_mask_oracle",
)


class Method(BaseModel):
    """One method of the sweep: its name in the table of pruners, and fields that differ from its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fields: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _exists(self) -> "Method":
        pruner = self.pruner()
        if pruner.stage == "llm":
            raise ValueError(f"method {self.name!r} works at stage 'llm'; a sweep needs one before the language model")
        return self

    @property
    def label(self) -> str:
        """Name in rows and tables, with the fields that were set.

        Example:
            >>> Method(name="litelvlm", fields={"order": "raster"}).label
            'litelvlm(order=raster)'
        """
        options = ", ".join(f"{name}={value}" for name, value in sorted(self.fields.items()))
        return f"{self.name}({options})" if options else self.name

    @property
    def seeded(self) -> bool:
        """Whether the method draws at random and no seed was fixed."""
        return "seed" not in self.fields and any(field.name == "seed" for field in fields(self.pruner()))

    def pruner(self, seed: int | None = None) -> Pruner:
        """The method itself, with a seed if it takes one."""
        options: dict[str, Any] = {**self.fields, **({} if seed is None else {"seed": seed})}
        return get_pruner(self.name, **options)


AnyMethod = Annotated[Method, BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value)]


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        methods: Methods to compare; a plain name stands for its defaults. The unpruned model is always run.
        budgets: Token counts; None for the published shares of all tokens.
        seeds: Draws of a method that is random.
        question_index: Question template, 0 to 15.
        answer_index: Answer template, 0 to 4.
        batch_size: Passes of the language model at once; they are of equal token count.
        protocol: How expressions are asked.
    """

    methods: Annotated[tuple[AnyMethod, ...], Field(min_length=1)] = tuple(Method(name=m) for m in DEFAULT_METHODS)
    budgets: Budgets | None = None
    seeds: Count = 5
    question_index: int = Field(default=0, ge=0, lt=len(QUESTIONS))
    answer_index: int = Field(default=0, ge=0, lt=len(ANSWERS))
    batch_size: Count = 24
    protocol: Literal["single"] = "single"

    @model_validator(mode="after")
    def _distinct(self) -> "Config":
        labels = [method.label for method in self.methods]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"methods occur twice: {', '.join(twice)}")
        return self


@dataclass(frozen=True)
class Context:
    """What every image of a run shares."""

    model: Any
    data: Any
    config: Config
    budgets: tuple[int, ...]


@dataclass(frozen=True)
class Pass:
    """One pass of the language model: one expression under one selection (None: unpruned)."""

    expression: int
    method: str
    budget: int
    seed: int
    selection: Selection | None
    n_kept: int


def run(model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None) -> Path:
    """Compute the missing rows of a split and, once all are there, the summary.

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
    resolved = {"budgets": list(budgets)}
    return run_study(STUDY, model, data, config, out, shard or Shard(), partial(image_rows, context), resolved)


@torch.inference_mode()
def image_rows(context: Context, index: int) -> ItemResult:
    """Rows of one image: every expression under every method, budget and seed."""
    model, sample = context.model, context.data[index]
    state = model.encode_image(sample.image())
    talks = [
        conversation([expression.sent], context.config.question_index, context.config.answer_index)
        for expression in sample.expressions
    ]
    passes: list[Pass] = []
    keys, masks = [], []
    for number, (expression, talk) in enumerate(zip(sample.expressions, talks, strict=True)):
        with naming(sample, expression):
            mask = target_mask(sample, expression)
            masks.append(sample.mask(expression))
            covered = token_coverage(mask, model)
            keys.append(key_columns(context.data, sample, expression, mask, model.tower.image_size))
            truth = torch.from_numpy(covered).float()
            cues = model.cues(state, list(talk.questions), coverage=truth, key=int(sample.image_id))
            passes += expression_passes(context, number, cues)
    rows: list[dict[str, Any]] = [{}] * len(passes)
    for batch in equal_batches([made.n_kept for made in passes], context.config.batch_size):
        chosen = [passes[i] for i in batch]
        grounded = model.ground(
            [state] * len(batch), [talks[made.expression] for made in chosen], [made.selection for made in chosen]
        )
        for place, made, result in zip(batch, chosen, grounded, strict=True):
            with naming(sample, sample.expressions[made.expression]):
                overlap = intersection_union(result.mask[0].cpu().numpy(), masks[made.expression])
            rows[place] = keys[made.expression] | {
                "protocol": context.config.protocol,
                "method": made.method,
                "budget": made.budget,
                "seed": made.seed,
                "n_kept": made.n_kept,
                "inter_px": overlap.intersection,
                "union_px": overlap.union,
                "iou": float(iou([overlap.intersection], [overlap.union], exact=True)[0]),
            }
    return ItemResult(rows)


def expression_passes(context: Context, number: int, cues: Any) -> list[Pass]:
    """Selections of one expression under every method, budget and seed, the unpruned one first."""
    n_tokens = context.model.grid[0] * context.model.grid[1]
    made = [Pass(number, UNPRUNED, n_tokens, 0, None, n_tokens)]
    for method in context.config.methods:
        if method.name == UNPRUNED:
            continue
        for seed in range(context.config.seeds) if method.seeded else (None,):
            pruner = method.pruner(seed)
            for budget in context.budgets:
                selection = pruner.select(cues, budget)
                kept = len(selection.indices)
                made.append(Pass(number, method.label, budget, seed or 0, selection, kept))
    return made


def equal_batches(sizes: Sequence[int], batch_size: int) -> list[list[int]]:
    """Group indices of equal size into batches, sizes in ascending order.

    Example:
        >>> equal_batches([8, 16, 8, 8], 2)
        [[0, 2], [3], [1]]
    """
    batches = []
    for size in sorted(set(sizes)):
        members = [i for i, found in enumerate(sizes) if found == size]
        batches += [members[start : start + batch_size] for start in range(0, len(members), batch_size)]
    return batches


def summarise(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """The paper's method against random tokens at each budget, and H8 at the largest; none if it was not swept."""
    if rows.empty or PAPER not in set(rows["method"]):
        return []
    wide = widen(rows)
    scores = score_bootstrap(wide, resamples, seed)
    budgets = budgets_of(wide.cells, PAPER)
    claims = []
    for budget in budgets:
        ours, theirs = (PAPER, budget), (RANDOM, budget)
        if theirs in wide.cells:
            delta = difference(scores, cell_index(wide, ours, "ciou"), cell_index(wide, theirs, "ciou"))
            claims.append(
                make_claim(
                    f"random@{budget}",
                    f"With {budget} tokens {PAPER} has a higher cIoU than random tokens.",
                    delta.estimates()[0],
                    0.0,
                    "cIoU of random tokens, mean over seeds",
                    p_value=swap_p_value(wide, ours, theirs, "ciou", resamples, seed),
                )
            )
    whole = cell_index(wide, (UNPRUNED, budgets_of(wide.cells, UNPRUNED)[0]), "ciou")
    kept = retention(scores, cell_index(wide, (PAPER, budgets[0]), "ciou"), whole)
    return [*claims, _retained(kept, budgets[0])]


def _retained(kept: Bootstrap, budget: int) -> Claim:
    """H8, undetermined with its reason where the unpruned model scores 0 on all data or on a resample."""
    statement = f"With {budget} tokens {PAPER} keeps at least {RETAINED:.0%} of the unpruned cIoU."
    lost = int((~np.isfinite(kept.draws)).sum())
    if np.isfinite(kept.value[0]) and not lost:
        estimate, p_value = kept.estimates(ONE_SIDED)[0], float(kept.p_values(RETAINED, one_sided=True)[0])
    else:
        where = f"on {lost} of {len(kept.draws)} resamples" if np.isfinite(kept.value[0]) else "on these images"
        reason = f"undefined: the unpruned cIoU is 0 {where}"
        estimate, p_value = Estimate(float(kept.value[0]), np.nan, np.nan, kept.n_images, kept.n, reason), np.nan
    return make_claim(
        "H8",
        statement,
        estimate,
        RETAINED,
        "share to be kept",
        p_value=p_value,
        p_claimed=p_value,
        one_sided=True,
    )


def tables(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" (cIoU, gIoU, P@0.5 per cell), "comparisons" (paired differences and retention), "seeds" (each draw
        alone) and, where expressions have kinds, "kinds" (scores by kind).
    """
    if rows.empty:
        return {}
    wide = widen(rows)
    scores = score_bootstrap(wide, resamples, seed)
    found = {
        "scores": score_table(wide, scores),
        "comparisons": comparison_table(wide, scores, resamples, seed),
        "seeds": seed_table(rows),
    }
    if rows["kind"].nunique() > 1:
        found["kinds"] = stratum_table(rows, "kind", resamples, seed)
    return found


def reading(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    if not claims:
        return f"{PAPER} was not part of this sweep; see its tables."
    against = {claim.id.removeprefix("random@"): claim.verdict for claim in claims if claim.id.startswith("random@")}
    parts = []
    for found, what in (
        ("supported", "beats random tokens at"),
        ("not supported", "does not beat random tokens at"),
        ("undetermined", "cannot be told from random tokens at"),
    ):
        budgets = [budget for budget, result in against.items() if result == found]
        if budgets:
            parts.append(f"{what} {', '.join(budgets)} tokens")
    kept = [claim for claim in claims if claim.id == "H8"]
    if kept:
        parts.append(f"the claim that it keeps {RETAINED:.0%} of the unpruned cIoU is {kept[0].verdict}")
    return f"{PAPER} " + "; ".join(parts) + "."


STUDY = Study("sweep", summarise, tables, reading, ("analysis.samples",))
