"""Scores of a sweep with intervals: cIoU, gIoU and P@0.5, paired differences and retention.

All cells come from the same resamples of images, so differences and ratios between them are paired.
"""

import numpy as np
from jaxtyping import Float

from litelvlm.analysis.stats.bootstrap import RESAMPLES, Bootstrap, bootstrap, contrast
from litelvlm.analysis.stats.crossed import Crossed, crossed_mean
from litelvlm.analysis.stats.significance import paired_swap_test
from litelvlm.analysis.studies.sweep.wide import MethodBudget, Wide
from litelvlm.arrays import Array

METRICS = ("ciou", "giou", "p50")
ONE_SIDED = 0.90  # two-sided level whose lower end is a one-sided 95 % bound


def score_bootstrap(wide: Wide, resamples: int = RESAMPLES, seed: int = 0) -> Bootstrap:
    """cIoU, gIoU and P@0.5 of all cells (metric by metric) on all data and on every resample."""
    n_cells = len(wide.cells)
    columns = np.column_stack(
        [wide.inter, wide.union, wide.iou, wide.p50, np.ones(len(wide.image_ids))]
    )

    def scores(sums: Float[Array, "b c"]) -> Float[Array, "b k"]:
        inter, union, means = (
            sums[:, :n_cells],
            sums[:, n_cells : 2 * n_cells],
            sums[:, 2 * n_cells : -1],
        )
        # Without a single pixel in prediction or target the score is 1, as for one expression.
        ciou = np.divide(inter, union, out=np.ones_like(inter), where=union > 0)
        values: Array = np.hstack([ciou, means / sums[:, -1:]])
        return values

    return bootstrap(columns, wide.image_ids, scores, resamples, seed)


def cell_index(wide: Wide, cell: MethodBudget, metric: str) -> int:
    """Place of one cell's metric in ``score_bootstrap``."""
    return METRICS.index(metric) * len(wide.cells) + wide.column(cell)


def difference(scores: Bootstrap, first: int, second: int) -> Bootstrap:
    """Paired difference of two entries of ``score_bootstrap``."""
    return contrast(scores, lambda v: v[:, [first]] - v[:, [second]])


def retention(scores: Bootstrap, part: int, whole: int) -> Bootstrap:
    """Ratio of two entries of ``score_bootstrap``; nan where the whole is 0."""

    def ratio(values: Float[Array, "b k"]) -> Float[Array, "b 1"]:
        top, bottom = values[:, [part]], values[:, [whole]]
        kept: Array = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
        return kept

    return contrast(scores, ratio)


def swap_p_value(wide: Wide, first: MethodBudget, second: MethodBudget, metric: str) -> float:
    """Two-sided p-value of a difference between two cells, labels swapped image by image."""
    if metric == "ciou":
        a, b = wide.pixels(first), wide.pixels(second)
    else:
        a, b = (wide.iou[:, [wide.column(cell)]] for cell in (first, second))
    return paired_swap_test(a, b, wide.image_ids).p_value


def crossed_difference(wide: Wide, first: MethodBudget, second: MethodBudget) -> Crossed:
    """First minus second in cIoU, over images and categories; undefined without categories."""
    one, two = linear_ciou(wide, first), linear_ciou(wide, second)
    return crossed_of(wide, one - two)


def crossed_retention(
    wide: Wide, part: MethodBudget, whole: MethodBudget, less: float = 0.0
) -> Crossed:
    """Share of one cell's cIoU that another one has, over images and categories.

    Args:
        wide: Lines of the sweep.
        part: Numerator.
        whole: Denominator.
        less: Subtracted from the share; 1 makes it a lead.
    """
    top, bottom = linear_ciou(wide, part), linear_ciou(wide, whole)
    if not bottom.mean() > 0:
        return crossed_of(wide, np.full_like(top, np.nan))
    share = top.mean() / bottom.mean()
    return crossed_of(wide, share - less + (top - share * bottom) / bottom.mean())


def linear_ciou(wide: Wide, cell: MethodBudget) -> Float[Array, "n"]:
    """Values of lines whose mean is the cell's cIoU, and whose spread is that of its sums."""
    inter, union = wide.pixels(cell).T
    if not union.sum():
        return np.ones(len(union))
    ciou = inter.sum() / union.sum()
    values: Array = ciou + (inter - ciou * union) / union.mean()
    return values


def crossed_of(wide: Wide, values: Float[Array, "n"]) -> Crossed:
    """Mean over lines, over images and categories; undefined without categories."""
    n = len(values)
    if wide.categories is None or not np.isfinite(values).all():
        return Crossed(float(values.mean()), np.nan, np.nan, len(np.unique(wide.image_ids)), 0, n)
    return crossed_mean(values, wide.image_ids, wide.categories)
