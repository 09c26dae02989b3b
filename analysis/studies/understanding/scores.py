"""From rows of answers to scores with intervals over images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.stats.bootstrap import bootstrap
from litelvlm.analysis.studies.understanding.intervals import Interval, intervals_of
from litelvlm.analysis.studies.understanding.units import (
    Incomplete,
    complete_answers,
    incomplete_notes,
)
from litelvlm.arrays import Array
from litelvlm.metrics.understanding import COGNITION, PERCEPTION

RESAMPLES = 2000
COLUMNS = ["method", "budget", "metric", "value", "low", "high", "n_images", "n", "missing",
           "visual_tokens"]  # fmt: skip
MAIN = {
    "exact": "accuracy",
    "vqa": "accuracy",
    "evalai": "accuracy",
    "yes_no": "f1",
    "mme": "perception",
    "option": "accuracy",
    "circular": "circular",
}
"""The metric that papers print, by rule."""
Columns = tuple[list[str], Float[Array, "n c"], Array, Callable[[Array], Array]]
"""Names of metrics, one row per unit, the image of each, and the statistic of column sums."""


@dataclass(frozen=True)
class Scores:
    """Scores of one task.

    Attributes:
        lines: One line per method, budget and metric: method, budget, metric, value, low, high, n
            (answers), n_images, missing (resamples that miss the metric's group), visual_tokens
            (mean).
        notes: What was left out of the lines, and intervals that do not rest on all resamples.
    """

    lines: pd.DataFrame
    notes: tuple[str, ...]


def scores_of(rows: pd.DataFrame, rule: str) -> Scores:
    """Score every condition.

    Draws of a random method are pooled. Intervals resample images. Pairs of MME and questions of
    MMBench count where every answer is there.

    Args:
        rows: Rows of one task, failed ones too.
        rule: How its answers are scored.
    """
    lines: list[dict[str, object]] = []
    lost: list[Incomplete] = []
    missed: dict[str, Interval] = {}
    for (method, budget), part in rows.groupby(["method", "budget"], dropna=False, sort=False):
        answered, incomplete = complete_answers(part, rule, rows)
        lost += [] if incomplete is None else [incomplete]
        if answered.empty:
            continue
        names, columns, images, statistic = columns_of(answered, rule)
        tokens = float(answered["visual_tokens"].mean())
        for name, found in zip(
            names, intervals_of(bootstrap(columns, images, statistic, RESAMPLES)), strict=True
        ):
            line = {"method": method, "budget": budget, "metric": name, **found.estimate.line()}
            line |= {"n": len(answered), "missing": found.missing, "visual_tokens": tokens}
            lines.append(line)
            if name not in missed or found.missing > missed[name].missing:
                missed[name] = found
    notes = incomplete_notes(rule, lost)
    notes += filter(None, (found.note(name) for name, found in missed.items()))
    return Scores(pd.DataFrame(lines, columns=COLUMNS), tuple(notes))


def columns_of(rows: pd.DataFrame, rule: str) -> Columns:
    """What the scores of one condition are sums of.

    Raises:
        ValueError: If there is no row.
    """
    if rows.empty:
        raise ValueError("there is no answer to score")
    makers = {"yes_no": _yes_no, "mme": _mme, "circular": _circular}
    return makers.get(rule, _mean)(rows)


def _mean(rows: pd.DataFrame) -> Columns:
    """Accuracy over all questions, then in each group."""
    groups = [group for group in sorted(rows["group"].unique()) if group]
    score = rows["score"].to_numpy(dtype=np.float64)
    inside = [np.ones(len(rows)), *((rows["group"] == g).to_numpy(np.float64) for g in groups)]
    columns = np.column_stack([score * one for one in inside] + inside)
    names = ["accuracy", *(f"accuracy: {group}" for group in groups)]
    return names, columns, rows["image_id"].to_numpy(), _quotients


def _quotients(sums: Array) -> Array:
    """The first half of the columns over the second; nan where nothing was drawn."""
    top, bottom = np.split(sums, 2, axis=1)
    return _over(top, bottom)


def _over(top: Array, bottom: Array) -> Array:
    """A ratio; nan where nothing was drawn that it could count."""
    found: Array = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
    return found


def _yes_no(rows: pd.DataFrame) -> Columns:
    """POPE: F1 in each setting and their mean, then what all questions together give."""
    settings = sorted(rows["group"].unique())
    said = (rows["read"] == "yes").to_numpy(np.float64)
    there = (rows["truth"] == "yes").to_numpy(np.float64)
    right = rows["score"].to_numpy(np.float64)
    parts = []
    for setting in settings:
        inside = (rows["group"] == setting).to_numpy(np.float64)
        parts += [said * there * inside, said * inside, there * inside]
    columns = np.column_stack([*parts, said * there, said, there, right, np.ones(len(rows))])

    def statistic(sums: Array) -> Array:
        each = sums[:, :-5].reshape(len(sums), len(settings), 3)
        f1 = _over(2 * each[:, :, 0], each[:, :, 1] + each[:, :, 2])
        f1[each[:, :, 2] == 0] = np.nan
        hit, claimed, exist, correct, n = sums[:, -5:].T
        rest = [
            _over(correct, n),
            _over(hit, np.maximum(claimed, 1)),  # without an answer "yes" precision is 0
            _over(hit, exist),
            _over(claimed, n),
        ]
        return np.column_stack([f1.mean(1), f1, *rest])

    names = ["f1", *(f"f1: {setting}" for setting in settings)]
    names += ["accuracy", "precision", "recall", "yes_ratio"]
    return names, columns, rows["image_id"].to_numpy(), statistic


def _mme(rows: pd.DataFrame) -> Columns:
    """MME: per category accuracy plus accuracy of pairs, times 100, and the two totals."""
    pairs = rows.groupby(["group", "image_id", "draw"], sort=True)["score"].agg(["sum", "size"])
    odd = pairs[pairs["size"] != 2]
    if len(odd):
        raise ValueError(
            f"MME asks two questions about each image, and {len(odd)} images have another number "
            f"of answers, the first is {odd.index[0][1]!r}"
        )
    kinds = list(pairs.index.get_level_values("group").unique())
    group = pairs.index.get_level_values("group").to_numpy()
    points = 50 * pairs["sum"].to_numpy(np.float64) + 100 * (pairs["sum"] == 2).to_numpy(np.float64)
    inside = [(group == kind).astype(np.float64) for kind in kinds]
    columns = np.column_stack([points * one for one in inside] + inside)
    totals = {"perception": PERCEPTION, "cognition": COGNITION}
    there = {n: [k in t for k in kinds] for n, t in totals.items() if set(t) & set(kinds)}

    def statistic(sums: Array) -> Array:
        each = _quotients(sums)
        return np.column_stack([*(each[:, one].sum(1) for one in there.values()), each])

    images = pairs.index.get_level_values("image_id").to_numpy()
    return [*there, *kinds], columns, images, statistic


def _circular(rows: pd.DataFrame) -> Columns:
    """MMBench: right in every order of the options, and plain accuracy of the first order.

    A question whose first order is not in the data counts for the former alone.
    """
    units = rows.groupby(["base", "draw"], sort=True)
    whole = units["score"].min()
    first = rows[rows["question_id"] == rows["base"]].groupby(["base", "draw"])["score"].mean()
    plain = first.reindex(whole.index)
    there = plain.notna().to_numpy(np.float64)
    columns = np.column_stack([whole, plain.fillna(0.0), np.ones(len(whole)), there])
    images = units["image_id"].first().to_numpy()
    return ["circular", "accuracy of the first order"], columns, images, _quotients
