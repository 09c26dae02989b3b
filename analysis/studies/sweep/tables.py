"""Tables of a sweep: scores, comparisons with the unpruned model and random tokens, strata."""

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import RANDOM, UNPRUNED
from litelvlm.analysis.stats.bootstrap import RESAMPLES, Bootstrap
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.sweep.estimates import (
    METRICS,
    ONE_SIDED,
    cell_index,
    difference,
    retention,
    score_bootstrap,
    swap_p_value,
)
from litelvlm.analysis.studies.sweep.no_target import no_target_table, without_target
from litelvlm.analysis.studies.sweep.wide import Cell, Wide, widen


def make_tables(
    rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" (cIoU, gIoU, P@0.5 per cell), "comparisons" (paired differences and retention),
        "seeds" (each draw alone), "tokens" (tokens at the input and per layer) and, where there are
        such expressions, "kinds" (scores by kind) and "no_target" (N-acc, T-acc and the scores that
        go with them).
    """
    if rows.empty:
        return {}
    wide = widen(rows)
    scores = score_bootstrap(wide, resamples, seed)
    found = {
        "scores": score_table(wide, scores),
        "comparisons": comparison_table(wide, scores, resamples, seed),
        "seeds": seed_table(rows),
        "tokens": token_table(rows),
    }
    if rows["kind"].nunique() > 1:
        found["kinds"] = stratum_table(rows, "kind", resamples, seed)
    if without_target(rows).any():
        found["no_target"] = no_target_table(rows, resamples, seed)
    return found


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
