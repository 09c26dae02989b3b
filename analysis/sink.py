"""Does the [EOS] of CLIP's text tower attend to [SOS] instead of the words?

The text embedding is the state of [EOS]. If it attends mostly to [SOS], which holds no word, the embedding hears little
of the expression. Per layer and head this study reads the [EOS] row of attention over its T visible tokens. Uniform
attention gives [SOS] 1/T, so the measure is the lift, T times the attention on [SOS], and not the attention itself,
which is large for short texts whatever the model does.

Controls: the same towers with random weights (lift near 1), and the words in another order (lift unchanged if the sink
is about the position and not about the words). H4: the mean lift over layers and heads is above 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from analysis.claims import Claim, make_claim
from analysis.clip_models import randomised
from analysis.config import StudyConfig
from analysis.engine import ItemResult, Study, run_study
from analysis.locks import Shard
from analysis.samples import Data, Model
from analysis.significance import benjamini_hochberg
from analysis.sink_attention import MEAN_HEAD, MEASURES, UnusableTextError, permuted, text_rows
from analysis.statistics import RESAMPLES, bootstrap_means
from litelvlm.glamm.prompts import QUESTIONS, question

DECIMALS = 6  # attention is float32: a uniform row must not differ from uniform by its last digit
QUESTION = "Does the text tower's [EOS] attend to [SOS] more than uniform attention would?"


class Config(StudyConfig):
    """Configuration of the study.

    Attributes:
        question_index: Question template, 0 to 15.
        random_weights: Whether to read a tower of the same shape with random weights too.
    """

    question_index: int = Field(default=0, ge=0, lt=len(QUESTIONS))
    random_weights: bool = True


@dataclass(frozen=True)
class Context:
    """What every image of a run shares."""

    tower: Any
    random: Any | None
    data: Any
    config: Config
    punctuation: frozenset[int]


def run(model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None) -> Path:
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
    random = randomised(model, config.seed) if config.random_weights else None
    context = Context(tower, random, data, config, punctuation)
    return run_study(STUDY, model, data, config, out, shard or Shard(), partial(image_rows, context))


def image_rows(context: Context, index: int) -> ItemResult:
    """All rows of the expressions of one image."""
    sample = context.data[index]
    rows: list[dict[str, Any]] = []
    skipped = []
    for expression in sample.expressions:
        bare = expression.sent.strip().lower()
        shuffled = permuted(bare, np.random.default_rng([context.config.seed, int(expression.sent_id)]))
        asked = {
            "template": (question(bare, context.config.question_index), bare),
            "expression": (bare, bare),
            "permuted": (question(shuffled, context.config.question_index), shuffled),
        }
        keys = {
            "dataset": context.data.name,
            "split": context.data.split,
            "image_id": int(sample.image_id),
            "ref_id": int(expression.ref_id),
            "sent_id": int(expression.sent_id),
            "kind": getattr(expression, "kind", None) or "unspecified",
            "n_words": len(bare.split()),
        }
        try:
            found = text_rows(context.tower, asked, context.punctuation, "trained")
            if context.random is not None:
                found += text_rows(context.random, {"template": asked["template"]}, context.punctuation, "random")
        except UnusableTextError as reason:
            skipped.append(str(reason))
            continue
        rows += [keys | row for row in found]
    return ItemResult(rows, tuple(skipped))


def summarise(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """Claim H4 on the sentences that the method feeds CLIP, and its comparison with random weights if there is one."""
    if rows.empty:
        return []
    trained = _mean_lift(rows, "template", "trained")
    statement = "The [EOS] of the text tower attends to [SOS] more than uniform attention does (mean over heads)."
    claims = [_claim("H4", statement, trained, 1.0, "uniform attention over the visible tokens", resamples, seed)]
    random = _mean_lift(rows, "template", "random")
    if not random.empty:
        difference = trained.assign(lift=trained["lift"] - random["lift"].reindex(trained.index))
        statement = "Its lift is larger than that of a tower of the same shape with random weights."
        claims.append(_claim("H4.random", statement, difference, 0.0, "lift of random weights", resamples, seed))
    return claims


def _mean_lift(rows: pd.DataFrame, text_mode: str, weights: str) -> pd.DataFrame:
    """Mean lift over layers and heads of each expression."""
    chosen = (rows["head"] == MEAN_HEAD) & (rows["text_mode"] == text_mode) & (rows["weights"] == weights)
    table: pd.DataFrame = rows[chosen].groupby("sent_id").agg(lift=("lift", "mean"), image_id=("image_id", "first"))
    return table


def _claim(
    id: str, statement: str, values: pd.DataFrame, null: float, null_description: str, resamples: int, seed: int
) -> Claim:
    lift = values[["lift"]].to_numpy().round(DECIMALS)
    result = bootstrap_means(lift, values["image_id"].to_numpy(), resamples, seed)
    estimate, p_value = result.estimates()[0], float(result.p_values(null)[0])
    return make_claim(id, statement, estimate, null, null_description, p_value=p_value)


def tables(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "grid": lift per layer and head with interval, p and its Benjamini-Hochberg adjustment q; "layers": every
        measure per layer, wording and weights (mean over heads); "length": the same by number of tokens.
    """
    if rows.empty:
        return {}
    means = rows[rows["head"] == MEAN_HEAD]
    groups = ["weights", "text_mode"]
    layers = pd.concat(
        [_wide_means(group, groups, "layer", resamples, seed) for _, group in means.groupby(groups)], ignore_index=True
    )
    lengths = (
        means.groupby([*groups, "n_tokens"])[list(MEASURES)]
        .mean()
        .reset_index()
        .assign(uniform_a_sos=lambda table: 1 / table["n_tokens"])
    )
    return {
        "grid": grid_table(rows, resamples, seed),
        "layers": layers,
        "length": lengths,
    }


def _wide_means(group: pd.DataFrame, same: list[str], by: str, resamples: int, seed: int) -> pd.DataFrame:
    """Means of all measures at each value of ``by``, all cells from the same resamples; ``same`` is constant here."""
    tags = {name: group[name].iloc[0] for name in same}
    wide = group.pivot(index=["image_id", "sent_id"], columns=by, values=list(MEASURES))
    result = bootstrap_means(wide.to_numpy(), wide.index.get_level_values("image_id").to_numpy(), resamples, seed)
    measures, places = (wide.columns.get_level_values(level) for level in (0, 1))
    cells = [
        tags
        | {by: int(place), "measure": measure, "mean": e.value, "low": e.low, "high": e.high}
        | {"n_images": e.n_images, "n": e.n}
        for measure, place, e in zip(measures, places, result.estimates(), strict=True)
    ]
    return pd.DataFrame(cells)


def grid_table(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Lift of every layer and head on the method's own sentences, against 1; exploratory, hence q beside p."""
    chosen = rows[(rows["head"] != MEAN_HEAD) & (rows["text_mode"] == "template")]
    wide = chosen.pivot(index=["image_id", "sent_id"], columns=["layer", "head"], values="lift")
    lift = wide.to_numpy().round(DECIMALS)
    result = bootstrap_means(lift, wide.index.get_level_values("image_id").to_numpy(), resamples, seed)
    layers, heads = (wide.columns.get_level_values(level) for level in ("layer", "head"))
    p_values = result.p_values(1.0)
    q_values = benjamini_hochberg(p_values) if np.isfinite(p_values).all() else np.full(len(p_values), np.nan)
    cells = [
        {"layer": int(layer), "head": int(head), "lift": e.value, "low": e.low, "high": e.high}
        | {"p": float(p), "q": float(q), "n_images": e.n_images, "n": e.n}
        for layer, head, e, p, q in zip(layers, heads, result.estimates(), p_values, q_values, strict=True)
    ]
    return pd.DataFrame(cells)


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


STUDY = Study("sink", summarise, tables, reading, ("analysis.sink_attention",))
