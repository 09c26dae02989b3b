"""Scores of a sweep from its rows: cIoU, gIoU and P@0.5 with paired differences and retention.

All cells of a table come from the same resamples of images, so differences and ratios between them
are paired. Rows of several seeds are averaged per expression first: their draws are independent
between images, so that resampling images covers the noise of the draw too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from litelvlm.analysis.inputs.methods import RANDOM, UNPRUNED
from litelvlm.analysis.stats.bootstrap import RESAMPLES, Bootstrap, bootstrap, contrast
from litelvlm.analysis.stats.significance import holm, paired_swap_test

METRICS = ("ciou", "giou", "p50")
ONE_SIDED = 0.90  # two-sided level whose lower end is a one-sided 95 % bound
Cell = tuple[str, int]


class Wide(NamedTuple):
    """Rows as arrays: one line per expression (and official draw), one column per cell.

    Attributes:
        cells: Method and budget of each column.
        inter: Intersections in pixels, means over seeds.
        union: Unions in pixels, means over seeds.
        iou: IoU, means over seeds.
        p50: Share of seeds with IoU of at least 0.5.
        image_ids: Image of each line.
    """

    cells: tuple[Cell, ...]
    inter: Float[np.ndarray, "n c"]
    union: Float[np.ndarray, "n c"]
    iou: Float[np.ndarray, "n c"]
    p50: Float[np.ndarray, "n c"]
    image_ids: Shaped[np.ndarray, "n"]

    def column(self, cell: Cell) -> int:
        """Number of a cell's column.

        Raises:
            ValueError: If the sweep has no such cell.
        """
        if cell not in self.cells:
            raise ValueError(
                f"the sweep has no cell {cell}; it has {', '.join(map(str, self.cells))}"
            )
        return self.cells.index(cell)

    def pixels(self, cell: Cell) -> Float[np.ndarray, "n 2"]:
        """Intersections and unions of one cell."""
        column = self.column(cell)
        return np.column_stack([self.inter[:, column], self.union[:, column]])


def widen(rows: pd.DataFrame) -> Wide:
    """Bring rows to one line per expression, or per drawn expression in the official protocol.

    Raises:
        ValueError: If an expression lacks a cell that others have, or rows of two protocols are
            mixed.
    """
    measured = rows.assign(p50=(rows["iou"] >= 0.5).astype(np.float64))
    columns = ["inter_px", "union_px", "iou", "p50"]
    means = measured.groupby([*line_columns(rows), "method", "budget"], sort=True)[columns].mean()
    wide = means.unstack(["method", "budget"])
    missing = np.argwhere(wide.isna().to_numpy())
    if len(missing):
        sent_id = wide.index.get_level_values("sent_id")[int(missing[0, 0])]
        raise ValueError(f"expression {sent_id} lacks methods or budgets that others have")
    found = {
        (str(method), int(budget))
        for method, budget in zip(measured["method"], measured["budget"], strict=True)
    }
    cells = sorted(found, key=lambda cell: (cell[0], -cell[1]))
    inter, union, iou, p50 = (wide[name][cells].to_numpy(dtype=np.float64) for name in columns)
    return Wide(
        tuple(cells), inter, union, iou, p50, wide.index.get_level_values("image_id").to_numpy()
    )


def line_columns(rows: pd.DataFrame) -> list[str]:
    """Columns that tell the lines of a table apart.

    Raises:
        ValueError: If rows of two protocols are mixed.
    """
    return ["image_id", "sent_id", *(["seed"] if protocol_of(rows) == "official" else [])]


def protocol_of(rows: pd.DataFrame) -> str:
    """The protocol of rows; "single" where they do not say.

    Raises:
        ValueError: If rows of two protocols are mixed.
    """
    protocols = sorted(rows["protocol"].unique()) if "protocol" in rows else ["single"]
    if len(protocols) > 1:
        raise ValueError(
            f"rows of protocols {' and '.join(protocols)} are mixed; make a table of each"
        )
    return str(protocols[0])


def score_bootstrap(wide: Wide, resamples: int = RESAMPLES, seed: int = 0) -> Bootstrap:
    """cIoU, gIoU and P@0.5 of all cells (metric by metric) on all data and on every resample."""
    n_cells = len(wide.cells)
    columns = np.column_stack(
        [wide.inter, wide.union, wide.iou, wide.p50, np.ones(len(wide.image_ids))]
    )

    def scores(sums: Float[np.ndarray, "b c"]) -> Float[np.ndarray, "b k"]:
        inter, union, means = (
            sums[:, :n_cells],
            sums[:, n_cells : 2 * n_cells],
            sums[:, 2 * n_cells : -1],
        )
        # Without a single pixel in prediction or target the score is 1, as for one expression.
        ciou = np.divide(inter, union, out=np.ones_like(inter), where=union > 0)
        values: np.ndarray = np.hstack([ciou, means / sums[:, -1:]])
        return values

    return bootstrap(columns, wide.image_ids, scores, resamples, seed)


def cell_index(wide: Wide, cell: Cell, metric: str) -> int:
    """Place of one cell's metric in ``score_bootstrap``."""
    return METRICS.index(metric) * len(wide.cells) + wide.column(cell)


def difference(scores: Bootstrap, first: int, second: int) -> Bootstrap:
    """Paired difference of two entries of ``score_bootstrap``."""
    return contrast(scores, lambda v: v[:, [first]] - v[:, [second]])


def retention(scores: Bootstrap, part: int, whole: int) -> Bootstrap:
    """Ratio of two entries of ``score_bootstrap``; nan where the whole is 0."""

    def ratio(values: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b 1"]:
        top, bottom = values[:, [part]], values[:, [whole]]
        kept: np.ndarray = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
        return kept

    return contrast(scores, ratio)


def score_table(wide: Wide, scores: Bootstrap) -> pd.DataFrame:
    """One line per method, budget and metric: value with interval."""
    lines = [
        {
            "method": method,
            "budget": budget,
            "metric": metric,
            "value": e.value,
            "low": e.low,
            "high": e.high,
        }
        | {"n_images": e.n_images, "n": e.n}
        for (metric, (method, budget)), e in zip(
            ((metric, cell) for metric in METRICS for cell in wide.cells),
            scores.estimates(),
            strict=True,
        )
    ]
    return pd.DataFrame(lines)


def comparison_table(
    wide: Wide, scores: Bootstrap, permutations: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Differences of cIoU and gIoU to the unpruned model and to random tokens at the same budget.

    p is that of an image-level swap of labels; p_holm is adjusted over all lines of one metric and
    one reference. The lines against the unpruned model also hold the share of its score that is
    kept, with a one-sided 95 % bound.
    """
    lines = []
    for metric in ("ciou", "giou"):
        for reference in (UNPRUNED, RANDOM):
            for cell in wide.cells:
                other = reference_cell(wide, cell, reference)
                if other is None:
                    continue
                first, second = cell_index(wide, cell, metric), cell_index(wide, other, metric)
                delta = difference(scores, first, second).estimates()[0]
                kept = retention(scores, first, second).estimates(ONE_SIDED)[0]
                line = {
                    "method": cell[0],
                    "budget": cell[1],
                    "metric": metric,
                    "reference": reference,
                }
                line |= {"delta": delta.value, "low": delta.low, "high": delta.high}
                line |= {"p": swap_p_value(wide, cell, other, metric, permutations, seed)}
                if reference == UNPRUNED:
                    line |= {"retention": kept.value, "retention_bound": kept.low}
                lines.append(line | {"n_images": delta.n_images, "n": delta.n})
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    groups = table.groupby(["metric", "reference"])["p"]
    return table.assign(
        p_holm=groups.transform(lambda p: holm(p.to_numpy()) if p.notna().all() else np.nan)
    )


def reference_cell(wide: Wide, cell: Cell, reference: str) -> Cell | None:
    """The cell to compare with: the unpruned model, or random tokens at the same budget."""
    candidates = [
        c for c in wide.cells if c[0] == reference and (reference == UNPRUNED or c[1] == cell[1])
    ]
    return candidates[0] if candidates and cell[0] not in (reference, UNPRUNED) else None


def swap_p_value(
    wide: Wide, first: Cell, second: Cell, metric: str, permutations: int = RESAMPLES, seed: int = 0
) -> float:
    """Two-sided p-value of a difference between two cells, labels swapped image by image."""
    if metric == "ciou":
        a, b = wide.pixels(first), wide.pixels(second)
    else:
        a, b = (wide.iou[:, [wide.column(cell)]] for cell in (first, second))
    return paired_swap_test(a, b, wide.image_ids, permutations, seed).p_value


def stratum_table(
    rows: pd.DataFrame, by: str, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """``score_table`` within each value of a column that describes expressions, such as kind."""
    parts = []
    for value, group in rows.groupby(by, sort=True):
        wide = widen(group)
        parts.append(
            score_table(wide, score_bootstrap(wide, resamples, seed)).assign(**{by: value})
        )
    return pd.concat(parts, ignore_index=True)


def seed_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Every single seed by its cIoU, without interval: how much one draw moves the score."""
    sums = rows.groupby(["method", "budget", "seed"], sort=True)[["inter_px", "union_px"]].sum()
    union = sums["union_px"].to_numpy(dtype=np.float64)
    ciou = np.divide(
        sums["inter_px"].to_numpy(dtype=np.float64), union, out=np.ones_like(union), where=union > 0
    )
    return sums.assign(ciou=ciou).reset_index()[["method", "budget", "seed", "ciou"]]


def token_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Tokens that enter the language model and tokens per layer, by method and budget."""
    cells = rows.groupby(["method", "budget"], sort=True)[["n_kept", "n_average"]]
    if (cells.nunique() > 1).any(axis=None):
        raise ValueError("a method keeps different numbers of tokens at one budget")
    return cells.first().reset_index()


def budgets_of(cells: Sequence[Cell], method: str) -> list[int]:
    """Budgets of a method, largest first."""
    return sorted((budget for name, budget in cells if name == method), reverse=True)
