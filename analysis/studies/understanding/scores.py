"""From rows of answers to scores with intervals over images."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Float

from litelvlm.analysis.stats.bootstrap import Bootstrap, Estimate, bootstrap
from litelvlm.analysis.stats.ends import SHARE
from litelvlm.arrays import Array
from litelvlm.metrics.answers import Rule

RESAMPLES = 2000
FEWEST = 0.9
"""Share of the resamples that must have a value. A group on one or two images stays below it: such
resamples miss it in 37 % and 14 % of all cases."""
COLUMNS = ["method", "positions", "budget", "metric", "value", "low", "high", "n_images", "n",
           "unreadable", "missing", "visual_tokens"]  # fmt: skip
HIT = 0.5
"""Least IoU of a box that counts as right."""
Columns = tuple[list[str], Float[Array, "n c"], Callable[[Array], Array]]
"""Names of metrics, one row per answer, and the statistic of column sums."""


def main_metric(scores: pd.DataFrame) -> str:
    """The metric that papers print, which stands first: F1, accuracy, or accuracy at IoU 0.5."""
    return str(scores["metric"].iloc[0])


def scores_of(rows: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """Score every condition.

    Draws of a random method are pooled. Intervals resample images.

    Args:
        rows: Rows of one task, failed ones too.
        rule: How its answers are scored.

    Returns:
        One line per method, budget and metric: method, positions, budget, metric, value, low, high,
        n_images, n (answers), unreadable (answers of the condition that hold nothing to score,
        empty ones included), missing (resamples that miss the metric's group; the interval comes
        from the others, and is nan where more than a tenth is missing), visual_tokens (mean).
    """
    lines: list[dict[str, object]] = []
    answered = rows[rows["state"] != "failed"]
    keys = ["method", "positions", "budget"]
    for condition, part in answered.groupby(keys, dropna=False, sort=False):
        told = {
            "unreadable": int((part["state"] != "read").sum()),
            "visual_tokens": float(part["visual_tokens"].mean()),
        }
        for name, (estimate, missing) in estimates_of(part, rule).items():
            line = dict(zip(keys, condition, strict=True)) | {"metric": name, **estimate.line()}
            lines.append(line | told | {"missing": missing})
    return pd.DataFrame(lines, columns=COLUMNS)


def estimates_of(rows: pd.DataFrame, rule: Rule) -> dict[str, tuple[Estimate, int]]:
    """Every metric of one condition, and the resamples that have no value of it.

    Args:
        rows: At least one, with image_id, group, truth, read and score.
        rule: How answers are scored.
    """
    names, columns, statistic = _KINDS[rule](rows)
    found = bootstrap(columns, rows["image_id"].to_numpy(), statistic, RESAMPLES, reach=SHARE)
    images = rows.groupby("group")["image_id"].nunique()
    return {
        name: _estimate(found, place, int(images.get(name.partition(": ")[2], found.n_images)))
        for place, name in enumerate(names)
    }


def _estimate(found: Bootstrap, place: int, images: int) -> tuple[Estimate, int]:
    """One metric from the resamples that have a value, and the number of the others.

    Args:
        found: All metrics.
        place: Which.
        images: Those that have a part in it; their number bounds what all of them got right.
    """
    draws = found.draws[:, place]
    there = draws[np.isfinite(draws)]
    missing = len(draws) - len(there)
    value = found.value[place, None]
    one = found._replace(value=value, draws=there[:, None], n_images=images)
    if len(there) >= FEWEST * len(draws):
        return one.estimates()[0]._replace(n_images=found.n_images), missing
    reason = f"undefined: {missing} of {len(draws)} resamples miss it"
    return one.undefined(float(found.value[place]), reason), missing


def _mean(rows: pd.DataFrame) -> Columns:
    """Accuracy over all questions, then in each group."""
    return _means(rows, {"accuracy": rows["score"].to_numpy(np.float64)})


def _boxes(rows: pd.DataFrame) -> Columns:
    """Share of boxes with an IoU of 0.5 or more, and the mean IoU; over all, then in each group."""
    iou = rows["score"].to_numpy(np.float64)
    return _means(rows, {f"accuracy@{HIT}": (iou >= HIT).astype(np.float64), "mean IoU": iou})


def _means(rows: pd.DataFrame, measured: Mapping[str, Array]) -> Columns:
    """The mean of each measure over all rows, then in each group."""
    groups = [group for group in sorted(rows["group"].unique()) if group]
    inside = [np.ones(len(rows)), *((rows["group"] == g).to_numpy(np.float64) for g in groups)]
    tops = [value * one for one in inside for value in measured.values()]
    bottoms = [one for one in inside for _ in measured]
    ends = ["", *(f": {group}" for group in groups)]
    names = [f"{name}{end}" for end in ends for name in measured]
    return names, np.column_stack(tops + bottoms), lambda sums: _over(*np.split(sums, 2, axis=1))


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
    return [*names, "accuracy", "precision", "recall", "yes_ratio"], columns, statistic


_KINDS: Mapping[Rule, Callable[[pd.DataFrame], Columns]] = MappingProxyType(
    {"exact": _mean, "yes_no": _yes_no, "box": _boxes}
)
