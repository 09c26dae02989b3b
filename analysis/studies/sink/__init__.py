"""Does the [EOS] of CLIP's text tower attend to [SOS] instead of the words?

The text embedding is the state of [EOS]. If it attends mostly to [SOS], which holds no word, the
embedding hears little of the expression. Per layer and head this study reads the [EOS] row of
attention over its T visible tokens. Uniform attention gives [SOS] 1/T, so the measure is the lift,
T times the attention on [SOS], and not the attention itself, which is large for short texts
whatever the model does. The same trap lies in the mean attention that [SOS] gets from
all positions: uniform causal attention makes it H_T / T, .41 for 6 tokens, so that short texts pass
a threshold of .3 for free.

Attention is not influence: beside it stand the share of what is carried by norm (a sink with a
small value is nearly no operation) and attention rolled out through the layers.

Controls: the same towers with random weights (lift near 1), and the words in another order (lift
unchanged if the sink is about the position and not about the words); two one-sided tests must place
both within a margin, 0.1 of lift by
default. H4: the mean lift over layers and heads is above 1. What the sink does to the ranking of
image tokens is the question of ``litelvlm.analysis.studies.sink_causal``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from litelvlm.analysis.inputs.clip_models import randomised
from litelvlm.analysis.inputs.samples import Data, Model, askable, key_columns, target_mask
from litelvlm.analysis.runs.claims import Claim, make_claim, null_claim
from litelvlm.analysis.runs.config import Index, StudyConfig
from litelvlm.analysis.runs.engine import ItemResult, Study, run_study
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.signals.text_attention import MEAN_HEAD, Wording, permuted, text_rows
from litelvlm.analysis.stats.bootstrap import RESAMPLES, Bootstrap, bootstrap_means
from litelvlm.analysis.studies.sink.tables import DECIMALS, make_tables
from litelvlm.models.glamm.prompting.prompts import QUESTIONS, question

QUESTION = "Does the text tower's [EOS] attend to [SOS] more than uniform attention would?"


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        question_index: Question template, 0 to 15.
        random_seeds: Towers of the same shape with random weights to read too; 0 leaves them out.
        margin: Differences of the lift below it count as none, settled before any row is seen.
    """

    question_index: int = Field(default=0, ge=0, lt=len(QUESTIONS))
    random_seeds: Index = 3
    margin: float = Field(default=0.1, gt=0)


MARGIN = Config().margin


@dataclass(frozen=True)
class Context:
    """What every image of a run shares."""

    tower: Any
    random: Sequence[Any]
    data: Any
    config: Config
    punctuation: frozenset[int]


def run(
    model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None
) -> Path:
    """Compute the missing rows of a split and, once all are there, the summary.

    Args:
        model: Only its CLIP text tower is used.
        data: Split whose expressions are read; no image is opened.
        config: Of the study.
        out: Folder of all runs.
        shard: Share of the parts to compute; all if left out.

    Returns:
        The run folder.
    """
    tower = model.tower
    marks = tower.text([". , ; : ! ? ' \" ( ) -"])
    punctuation = frozenset(marks.input_ids[0, 1 : int(marks.eos_index[0])].tolist())
    random = tuple(randomised(model, config.seed + number) for number in range(config.random_seeds))
    context = Context(tower, random, data, config, punctuation)
    study = replace(STUDY, summarise=partial(summarise, margin=config.margin))
    return run_study(
        study, model, data, config, out, shard or Shard(), partial(image_rows, context)
    )


def image_rows(context: Context, index: int) -> ItemResult:
    """All rows of the expressions of one image, its sentences read in one pass per tower."""
    sample, unasked = askable(context.data[index])
    if not sample.expressions:
        return ItemResult([], unasked)
    wordings = [
        wording for expression in sample.expressions for wording in _wordings(context, expression)
    ]
    found = text_rows(
        context.tower, wordings, context.punctuation, {"weights": "trained", "weights_seed": -1}
    )
    asked = [wording._replace(heads=False) for wording in wordings if wording.mode == "template"]
    drawn = [
        text_rows(
            tower,
            asked,
            context.punctuation,
            {"weights": "random", "weights_seed": context.config.seed + number},
        )
        for number, tower in enumerate(context.random)
    ]
    rows: list[dict[str, Any]] = []
    skipped = []
    for number, expression in enumerate(sample.expressions):
        own = [*found[3 * number : 3 * number + 3], *(other[number] for other in drawn)]
        reasons = [reason for reason in own if isinstance(reason, str)]
        if reasons:
            skipped.append(reasons[0])
            continue
        keys = key_columns(
            context.data, sample, expression, target_mask(sample, expression), context.tower
        )
        rows += [keys | row for part in own if not isinstance(part, str) for row in part]
    return ItemResult(rows, (*unasked, *skipped))


def _wordings(context: Context, expression: Any) -> list[Wording]:
    bare = expression.sent.strip().lower()
    shuffled = permuted(bare, np.random.default_rng([context.config.seed, int(expression.sent_id)]))
    number = context.config.question_index
    return [
        Wording("template", question(bare, number), bare, heads=True),
        Wording("expression", bare, bare, heads=True),
        Wording("permuted", question(shuffled, number), shuffled, heads=False),
    ]


def summarise(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0, margin: float = MARGIN
) -> list[Claim]:
    """Claim H4 on the sentences that the method feeds CLIP, its comparison with random weights, and the two nulls.

    Args:
        rows: Of the study.
        resamples: Number of draws.
        seed: Of the draws.
        margin: Differences of the lift below it count as none.

    Returns:
        H4, and as far as there are rows for them H4.random, H4.null (random weights attend
        uniformly) and H4.order (the order of the words does not matter).
    """
    if rows.empty:
        return []
    trained = _mean_lift(rows, "template", "trained")
    statement = "The [EOS] of the text tower attends to [SOS] more than uniform attention does (mean over heads)."
    claims = [
        _claim(
            "H4",
            statement,
            trained,
            1.0,
            "uniform attention over the visible tokens",
            resamples,
            seed,
        )
    ]
    random = _mean_lift(rows, "template", "random")
    if not random.empty:
        difference = trained.assign(lift=trained["lift"] - random["lift"].reindex(trained.index))
        statement = "Its lift is larger than that of a tower of the same shape with random weights."
        claims.append(
            _claim(
                "H4.random", statement, difference, 0.0, "lift of random weights", resamples, seed
            )
        )
        statement = "Random weights attend to [SOS] as uniform attention does."
        claims.append(
            null_claim(
                "H4.null", statement, _drawn(random, resamples, seed), 1.0, "uniform", margin
            )
        )
    permuted = _mean_lift(rows, "permuted", "trained")
    if not permuted.empty:
        moved = permuted.assign(lift=permuted["lift"] - trained["lift"].reindex(permuted.index))
        statement = "With its words in another order the text keeps its lift."
        claims.append(
            null_claim(
                "H4.order", statement, _drawn(moved, resamples, seed), 0.0, "same lift", margin
            )
        )
    return claims


def _mean_lift(rows: pd.DataFrame, text_mode: str, weights: str) -> pd.DataFrame:
    """Mean lift over layers and heads of each expression."""
    chosen = (rows["head"] == MEAN_HEAD) & (rows["query"] == "eos")
    chosen &= (rows["text_mode"] == text_mode) & (rows["weights"] == weights)
    table: pd.DataFrame = (
        rows[chosen].groupby("sent_id").agg(lift=("lift", "mean"), image_id=("image_id", "first"))
    )
    return table


def _claim(
    id: str,
    statement: str,
    values: pd.DataFrame,
    null: float,
    null_description: str,
    resamples: int,
    seed: int,
) -> Claim:
    result = _drawn(values, resamples, seed)
    estimate, p_value = result.estimates()[0], float(result.p_values(null)[0])
    return make_claim(id, statement, estimate, null, null_description, p_value=p_value)


def _drawn(values: pd.DataFrame, resamples: int, seed: int) -> Bootstrap:
    lift = values[["lift"]].to_numpy().round(DECIMALS)
    return bootstrap_means(lift, values["image_id"].to_numpy(), resamples, seed)


def tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures, see ``litelvlm.analysis.studies.sink.tables.make_tables``."""
    return make_tables(rows, resamples, seed)


def reading(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    verdicts = {claim.id: claim.verdict for claim in claims}
    first, second = verdicts.get("H4", "undetermined"), verdicts.get("H4.random")
    if first != "supported":
        return f"A sink of the text tower's attention on [SOS] is {first} here."
    if second is None:
        return "The text tower attends to [SOS] beyond uniform attention; random weights were not compared."
    learned = {
        "supported": "learned: random weights have less of it",
        "not supported": "no more than random weights have",
    }
    rest = learned.get(second, "and whether random weights do so less is open")
    return f"The text tower attends to [SOS] beyond uniform attention, {rest}."


STUDY = Study(
    "sink",
    summarise,
    tables,
    reading,
    (
        "litelvlm.analysis.signals.text_attention",
        "litelvlm.analysis.inputs.clip_models",
        "litelvlm.analysis.inputs.samples",
    ),
)
