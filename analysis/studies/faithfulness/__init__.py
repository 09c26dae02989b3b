"""Does a ranking of tokens foretell what their removal does to the mask?

Rankings of CLIP (the reversed similarity, its opposite, context, attention of CLS, centre, random,
the mask itself) and of the language model (attention, relevance, gradients, loss when a block is
dropped, KernelSHAP) are judged alike. Tokens leave in their order (deletion) or enter in it
(insertion) and the targets of the importance study are read off: areas under the curves,
comprehensiveness and sufficiency, and captum's infidelity on removals of squares. Pruning keeps the
first k tokens only, so sufficiency at k says how good a selection of k tokens the ranking makes.

A ranking whose neighbours are alike takes whole objects away, whatever it ranks by, where random
order thins the picture out. So the claims need two nulls: random order, and the reversed similarity
moved round the grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from pydantic import Field

from litelvlm.analysis.inputs.picks import PickedExpressions, pick, primary
from litelvlm.analysis.inputs.queries import Query, prepare_query
from litelvlm.analysis.inputs.samples import Data, Model, naming
from litelvlm.analysis.runs.claims import Claim, joint_claim, make_claim
from litelvlm.analysis.runs.config import Count, StudyConfig
from litelvlm.analysis.runs.engine import ItemResult, Study, run_study
from litelvlm.analysis.runs.locks import Shard
from litelvlm.analysis.signals.clip_scores import REVERSED, clip_scores, highest_similarity, ranking
from litelvlm.analysis.signals.gradients import input_signals
from litelvlm.analysis.signals.importance import (
    DICE,
    PREREGISTERED,
    RELEVANCE,
    as_array,
    attention_signals,
    block_signals,
    flow_signals,
    shapley,
)
from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap_means
from litelvlm.analysis.stats.faithfulness import (
    curve_area,
    curve_points,
    eraser,
    eraser_counts,
    first_tokens,
    moved_round,
    rank_infidelity,
    square_removals,
)
from litelvlm.models.glamm.attribution.targets import TARGETS, Targets
from litelvlm.models.glamm.prompting.prompts import QUESTIONS

QUESTION = "Does a ranking of tokens foretell what their removal does to the mask?"
CLIP_RANKINGS = (REVERSED, "context", "cls_attention", "centre_distance", "random", "coverage")
MOVED = "low_similarity_moved"
MAIN_TARGET = TARGETS[DICE]
LLM_RANKINGS = (*PREREGISTERED, RELEVANCE)  # beside input x gradient


class Config(StudyConfig):
    """Configuration of the study. The defaults fit the miniature on one core.

    Attributes:
        images: Images, each with one expression, spread over the sizes of referents; None takes
            all.
        question_index: Question template, 0 to 15.
        steps: Even steps of the curves (36 in a full study: 16 of 576 tokens each).
        removals: Random squares that are removed, for the infidelity.
        coalitions: Of KernelSHAP (512 in a full study).
        batch_size: Rows of the language model at once; None for as many as fit into 4 GiB.
    """

    images: Count | None = 24
    question_index: int = Field(default=0, ge=0, lt=len(QUESTIONS))
    steps: Count = 12
    removals: Count = 32
    coalitions: Count = 144
    batch_size: Count | None = None


@dataclass(frozen=True)
class Context:
    """What every image of a run shares."""

    model: Any
    data: PickedExpressions
    config: Config


def run(
    model: Model, data: Data, config: Config, out: str | Path, shard: Shard | None = None
) -> Path:
    """The run folder, with every part of this share computed (see ``litelvlm.analysis.studies.importance.run``)."""
    picks = pick(data, model, config.images, config.seed)
    context = Context(model, picks, config)
    rows_of = partial(image_rows, context)
    return run_study(STUDY, model, picks, config, out, shard or Shard(), rows_of, notes=picks.notes)


def image_rows(context: Context, index: int) -> ItemResult:
    """All rows of one image and its expression."""
    config, sample = context.config, context.data[index]
    expression = sample.expressions[0]
    with naming(sample, expression):
        asked, targets, covered, keys = prepare_query(
            context.model, context.data, index, config.question_index, config.batch_size
        )
        rng = np.random.default_rng([config.seed, int(expression.sent_id)])
        removed = square_removals(context.model.grid, config.removals, rng)
        after = as_array(targets.keeping(torch.from_numpy(~removed), config.batch_size))
        rows = []
        found = rankings(asked, targets, covered, rng) | {
            "kernel_shap": shapley(asked, targets, config.coalitions, rng)
        }
        for name, values in found.items():
            rows += [
                {"ranking": name} | row
                for row in ranking_rows(values, targets, config, removed, after)
            ]
    return ItemResult([keys | row for row in rows])


def rankings(
    asked: Query, targets: Targets, covered: Float[np.ndarray, "n"], rng: np.random.Generator
) -> dict[str, Float[np.ndarray, "n"]]:
    """What tokens are ranked by, high first."""
    cues = asked.model.cues(asked.state, asked.talk, coverage=torch.from_numpy(covered).float())
    scores = clip_scores(cues, rng)
    found = {name: scores[name] for name in CLIP_RANKINGS} | {
        "high_similarity": highest_similarity(cues)
    }
    found |= {MOVED: moved_round(scores[REVERSED], asked.model.grid, rng)}
    found |= {"input_x_gradient": input_signals(targets, DICE)["input_x_gradient"]}
    signals = [*attention_signals(asked), *flow_signals(targets), *block_signals(asked, targets)]
    wanted = [signal for signal in signals if signal.key in LLM_RANKINGS]
    return found | {signal.name: signal.values for signal in wanted}


def ranking_rows(
    values: Float[np.ndarray, "n"],
    targets: Targets,
    config: Config,
    removed: Bool[np.ndarray, "m n"],
    after: Float[np.ndarray, "m 3"],
) -> list[dict[str, Any]]:
    """Every measure of one ranking for every target, given the targets after some random removals."""
    order, n = ranking(values), targets.n_tokens
    counts = curve_points(n, config.steps)
    only = first_tokens(order, counts)
    found = as_array(
        targets.keeping(torch.from_numpy(np.concatenate([only, ~only])), config.batch_size)
    )
    kept, without = np.split(found, 2)
    rows = []
    for column, target in enumerate(TARGETS):
        insertion, deletion = kept[:, column], without[:, column]
        falls = eraser(counts, deletion, insertion, eraser_counts(n))
        measured: Mapping[tuple[str, int], float] = {
            **{("insertion", k): float(y) for k, y in zip(counts, insertion, strict=True)},
            **{("deletion", k): float(y) for k, y in zip(counts, deletion, strict=True)},
            **{
                (name, k): float(y)
                for name, ys in falls.items()
                for k, y in zip(eraser_counts(n), ys, strict=True)
            },
            **{(f"aopc_{name}", 0): float(ys.mean()) for name, ys in falls.items()},
            ("insertion_auc", 0): curve_area(counts, insertion),
            ("deletion_auc", 0): curve_area(counts, deletion),
            ("infidelity", 0): rank_infidelity(
                order, removed, after[:, column], float(insertion[-1])
            ),
        }
        rows += [
            {"target": target, "metric": name, "k": k, "value": y}
            for (name, k), y in measured.items()
        ]
    return rows


NULLS = {
    "random": ("random", "random order"),
    "moved": (MOVED, "the same order moved round the grid"),
}
CURVES = (
    ("F.insertion", "insertion_auc", 1, "brings the mask back sooner"),
    ("F.deletion", "deletion_auc", -1, "destroys the mask sooner"),
)


def summarise(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> list[Claim]:
    """Whether the reversed ranking beats both nulls, by insertion and by deletion, on the soft Dice.

    On expressions of which at least half of the target is visible; the others are counted.
    """
    visible, excluded = (rows, {}) if rows.empty else primary(rows)
    if visible.empty:
        return []
    claims = []
    for id, metric, sign, words in CURVES:
        areas = visible[(visible["target"] == MAIN_TARGET) & (visible["metric"] == metric)]
        wide = areas.pivot(index="image_id", columns="ranking", values="value")
        parts = []
        for name, (other, null) in NULLS.items():
            gain = (sign * (wide[REVERSED] - wide[other])).to_numpy()[:, None]
            result = bootstrap_means(gain, wide.index.to_numpy(), resamples, seed)
            parts.append(
                make_claim(
                    f"{id}.{name}",
                    f"Taking tokens in the reversed order {words} than in {null}.",
                    result.estimates()[0],
                    0.0,
                    f"area under the curve of the soft Dice in {null}",
                    p_value=float(result.p_values(0.0)[0]),
                    p_claimed=float(result.p_values(0.0, one_sided=True)[0]),
                    excluded=excluded,
                )
            )
        statement = (
            f"Taking tokens in the reversed order {words} than chance and smoothness explain."
        )
        claims += [joint_claim(id, statement, parts), *parts]
    return claims


def tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures, on expressions of which at least half of the target is visible.

    Returns:
        "curves": mean target per ranking, target, curve (insertion, deletion) and k; "measures":
        every other measure;
        "pruning": rankings by what keeping their first k tokens costs in soft Dice, the cheapest
        first.
    """
    rows = rows if rows.empty else primary(rows)[0]
    if rows.empty:
        return {}
    wide = rows.pivot(
        index="image_id", columns=["ranking", "target", "metric", "k"], values="value"
    )
    result = bootstrap_means(wide.to_numpy(), wide.index.to_numpy(), resamples, seed)
    table = pd.DataFrame(
        [
            dict(zip(wide.columns.names, names, strict=True))
            | {"value": e.value, "low": e.low, "high": e.high, "n_images": e.n_images, "n": e.n}
            for names, e in zip(wide.columns, result.estimates(), strict=True)
        ]
    )
    curve = table["metric"].isin(["insertion", "deletion"])
    return {
        "curves": table[curve].rename(columns={"metric": "curve"}).reset_index(drop=True),
        "measures": table[~curve].reset_index(drop=True),
        "pruning": pruning_table(table),
    }


def pruning_table(table: pd.DataFrame) -> pd.DataFrame:
    """Sufficiency for the soft Dice, the smallest fall first at each k: pruning is sufficiency."""
    costs = table[(table["metric"] == "sufficiency") & (table["target"] == MAIN_TARGET)]
    costs = costs.sort_values(["k", "value"], ignore_index=True).drop(columns=["metric", "target"])
    return costs.assign(place=costs.groupby("k").cumcount() + 1)


def reading(claims: Sequence[Claim]) -> str:
    """What the verdicts mean together."""
    if not claims:
        return "Nothing was measured."
    found = {claim.id: claim.verdict for claim in claims}
    texts = []
    for id, _, _, words in CURVES:
        text = f"That the reversed order {words} than chance and smoothness explain is {found[id]}"
        if found[id] != "supported" and found[f"{id}.random"] == "supported":
            text += " (than random order it does, but so may any order whose neighbours are alike)"
        texts.append(text)
    return ". ".join(texts) + "."


STUDY = Study(
    "faithfulness",
    summarise,
    tables,
    reading,
    (
        "litelvlm.analysis.stats.faithfulness",
        "litelvlm.analysis.inputs.queries",
        "litelvlm.analysis.signals.gradients",
        "litelvlm.analysis.inputs.picks",
        "litelvlm.analysis.signals.removal",
        "litelvlm.analysis.signals.clip_scores",
        "litelvlm.analysis.signals.importance",
        "litelvlm.analysis.inputs.samples",
    ),
)
