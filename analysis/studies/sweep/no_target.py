"""Scores of data sets with expressions that mean nothing in the image (gRefCOCO), with intervals."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from litelvlm.analysis.stats.bootstrap import RESAMPLES, bootstrap
from litelvlm.analysis.studies.sweep.tables import line_columns
from litelvlm.metrics import EMPTY_BELOW

METRICS = ("n_acc", "t_acc", "giou", "ciou")


def no_target_table(rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """One line per method, budget and metric: the scores of ``metrics.grefcoco_scores`` with image-bootstrap intervals.

    N-acc is the share of expressions without a target that are answered with nothing (fewer than 50
    pixels), T-acc the share of the others that are answered with something. A refused expression
    predicts no pixel. Draws of a random method are averaged per expression first, so that n counts
    expressions (in the official protocol, those drawn): of N-acc those without a target, of T-acc
    the others.

    Args:
        rows: Of the sweep.
        resamples: Of the images.
        seed: Of the resampling.
    """
    lines = []
    for (method, budget), cell in rows.groupby(["method", "budget"], sort=True):
        keys = [cell[name].to_numpy() for name in line_columns(cell)]
        sums = pd.DataFrame(_summands(cell)).groupby(keys, sort=True).mean()
        images = sums.index.get_level_values(0).to_numpy()
        drawn = bootstrap(sums.to_numpy(), images, _scores, resamples, seed)
        empty = sums[0].to_numpy() > 0
        for metric, found in zip(METRICS, drawn.estimates(), strict=True):
            line = {"method": method, "budget": budget, "metric": metric, "value": found.value}
            among = images[{"n_acc": empty, "t_acc": ~empty}.get(metric, slice(None))]
            line |= {"low": found.low, "high": found.high}
            lines.append(line | {"n_images": len(np.unique(among)), "n": len(among)})
    return pd.DataFrame(lines)


def no_target_scores(rows: pd.DataFrame, empty_below: int = EMPTY_BELOW) -> dict[str, float]:
    """The four scores of one cell without intervals; nan where no expression bears on one.

    Args:
        rows: Of one method and budget.
        empty_below: Fewer predicted pixels than this count as nothing.
    """
    (values,) = _scores(_summands(rows, empty_below).sum(axis=0, keepdims=True))
    return dict(zip(METRICS, values.tolist(), strict=True))


def without_target(rows: pd.DataFrame) -> Bool[np.ndarray, "n"]:
    """Whether each expression means nothing in its image.

    Pixels that are scored do not tell: an object all of whose pixels are doubled has none, and is
    an object.
    """
    empty: np.ndarray = rows["area_frac"].to_numpy() == 0
    return empty


def _summands(cell: pd.DataFrame, empty_below: int = EMPTY_BELOW) -> Float[np.ndarray, "n 7"]:
    """Per row: empty target, rightly refused, target, rightly answered, IoU, intersection, union."""
    target = cell["target_px"].to_numpy(dtype=np.float64)
    refused, empty = cell["pred_px"].to_numpy() < empty_below, without_target(cell)
    inter = np.where(refused, 0.0, cell["inter_px"].to_numpy(dtype=np.float64))
    union = np.where(refused, target, cell["union_px"].to_numpy(dtype=np.float64))
    iou = np.where(empty, refused, inter / np.maximum(union, 1.0))
    columns: np.ndarray = np.column_stack(
        [empty, empty & refused, ~empty, ~empty & ~refused, iou, inter, union]
    )
    return columns.astype(np.float64)


def _scores(sums: Float[np.ndarray, "b 7"]) -> Float[np.ndarray, "b 4"]:
    """The four scores from sums; nan where no expression bears on one."""
    empty, refused, meant, answered, iou, inter, union = sums.T
    values: np.ndarray = np.column_stack(
        [
            _ratio(refused, empty),
            _ratio(answered, meant),
            iou / (empty + meant),
            np.where(union > 0, _ratio(inter, union), 1.0),
        ]
    )
    return values


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    quotient: np.ndarray = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
    return quotient
