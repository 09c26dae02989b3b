"""gRefCOCO scores of data sets with expressions that mean nothing in the image, with intervals."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from litelvlm.analysis.stats.bootstrap import bootstrap
from litelvlm.analysis.studies.sweep.wide import line_columns
from litelvlm.arrays import Array
from litelvlm.metrics import (
    EMPTY_BELOW,
    GREFCOCO_SCORES,
    grefcoco_scores_of_sums,
    grefcoco_summands,
)


def no_target_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per method, budget and metric: the gRefCOCO scores with image-bootstrap intervals.

    N-acc is the share of expressions without a target that are answered with nothing (fewer than 50
    pixels), T-acc the share of the others that are answered with something. A refused expression
    predicts no pixel. Draws of a random method are averaged per expression first, so that n counts
    expressions (in the official protocol, those drawn): of N-acc those without a target, of T-acc
    the others.

    Args:
        rows: Of the sweep.
    """
    lines = []
    for (method, budget), cell in rows.groupby(["method", "budget"], sort=True):
        keys = [cell[name].to_numpy() for name in line_columns(cell)]
        sums = pd.DataFrame(_summands(cell)).groupby(keys, sort=True).mean()
        images = sums.index.get_level_values(0).to_numpy()
        drawn = bootstrap(sums.to_numpy(), images, grefcoco_scores_of_sums)
        empty = sums[0].to_numpy() > 0
        for metric, found in zip(GREFCOCO_SCORES, drawn.estimates(), strict=True):
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
    sums = _summands(rows, empty_below).sum(axis=0, keepdims=True)
    (values,) = grefcoco_scores_of_sums(sums)
    return dict(zip(GREFCOCO_SCORES, values.tolist(), strict=True))


def without_target(rows: pd.DataFrame) -> Bool[Array, "n"]:
    """Whether each expression means nothing in its image.

    Pixels that are scored do not tell: an object all of whose pixels are doubled has none, and is
    an object.
    """
    empty: Array = rows["area_frac"].to_numpy() == 0
    return empty


def _summands(cell: pd.DataFrame, empty_below: int = EMPTY_BELOW) -> Float[Array, "n 7"]:
    """What each row adds to the sums behind the scores."""
    return grefcoco_summands(
        cell["inter_px"].to_numpy(),
        cell["union_px"].to_numpy(),
        cell["pred_px"].to_numpy(),
        cell["target_px"].to_numpy(),
        without_target(cell),
        empty_below,
    )
