"""Tables of a sweep: scores, comparisons with the unpruned model and random tokens, strata."""

import numpy as np
import pandas as pd

from litelvlm.analysis.inputs.methods import RANDOM, UNPRUNED
from litelvlm.analysis.stats.bootstrap import Bootstrap, bootstrap, ratios
from litelvlm.analysis.stats.lines import adjusted, lines_of
from litelvlm.analysis.stats.significance import holm
from litelvlm.analysis.studies.sweep.config import Config
from litelvlm.analysis.studies.sweep.estimates import (
    METRICS,
    ONE_SIDED,
    cell_index,
    difference,
    retention,
    score_bootstrap,
    swap_p_value,
)
from litelvlm.analysis.studies.sweep.leads import strata_table
from litelvlm.analysis.studies.sweep.no_target import no_target_table, without_target
from litelvlm.analysis.studies.sweep.wide import MethodBudget, Wide, line_columns, widen


def make_tables(rows: pd.DataFrame, config: Config) -> dict[str, pd.DataFrame]:
    """Tables for figures.

    Returns:
        "scores" (cIoU, gIoU, P@0.5 per cell), "comparisons" (paired differences and retention),
        "seeds" (each draw alone), "tokens" (tokens at the input and per layer), "agreement" (with
        the unpruned masks, beside the accuracy and the tokens read) and, where there are such
        expressions or methods, "kinds" (scores by kind), "no_target" (N-acc, T-acc and the scores
        that go with them) and "strata" (lead over random tokens by kind, size and words).
    """
    wide = widen(rows)
    scores = score_bootstrap(wide)
    found = {
        "scores": score_table(wide, scores),
        "comparisons": comparison_table(wide, scores),
        "seeds": seed_table(rows),
        "tokens": token_table(rows),
    }
    if "agreement" in rows:
        found["agreement"] = agreement_table(rows)
    if rows["kind"].nunique() > 1:
        found["kinds"] = stratum_table(rows, "kind")
    if without_target(rows).any():
        found["no_target"] = no_target_table(rows)
    strata = strata_table(rows)
    return found if strata.empty else found | {"strata": strata}


def score_table(wide: Wide, scores: Bootstrap) -> pd.DataFrame:
    """One line per method, budget and metric: value with interval."""
    labels = [(*cell, metric) for metric in METRICS for cell in wide.cells]
    names = ["method", "budget", "metric"]
    return lines_of(scores, pd.MultiIndex.from_tuples(labels, names=names), "value")


def comparison_table(wide: Wide, scores: Bootstrap) -> pd.DataFrame:
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
                line = {
                    "method": cell[0],
                    "budget": cell[1],
                    "metric": metric,
                    "reference": reference,
                    "delta": delta.value,
                    "low": delta.low,
                    "high": delta.high,
                    "p": swap_p_value(wide, cell, other, metric),
                }
                if reference == UNPRUNED:
                    kept = retention(scores, first, second).estimates(ONE_SIDED)[0]
                    line |= {"retention": kept.value, "retention_bound": kept.low}
                lines.append(line | {"n_images": delta.n_images, "n": delta.n})
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    return table.assign(p_holm=adjusted(table, holm, ["metric", "reference"]))


def reference_cell(wide: Wide, cell: MethodBudget, reference: str) -> MethodBudget | None:
    """The cell to compare with: the unpruned model, or random tokens at the same budget."""
    candidates = [
        c for c in wide.cells if c[0] == reference and (reference == UNPRUNED or c[1] == cell[1])
    ]
    return candidates[0] if candidates and cell[0] not in (reference, UNPRUNED) else None


def stratum_table(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """``score_table`` within each value of a column that describes expressions, such as kind."""
    parts = []
    for value, group in rows.groupby(by, sort=True):
        wide = widen(group)
        parts.append(score_table(wide, score_bootstrap(wide)).assign(**{by: value}))
    return pd.concat(parts, ignore_index=True)


def seed_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Every single seed by its cIoU, without interval: how much one draw moves the score."""
    keys = ["method", "budget", "seed"]
    sums = rows.groupby(keys, sort=True)[["inter_px", "union_px"]].sum().astype(np.float64)
    return sums.assign(ciou=ratios(sums.to_numpy())[:, 0])["ciou"].reset_index()


def agreement_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Agreement with the unpruned masks, beside accuracy and what the language model read.

    A method may keep the accuracy and change the masks, or keep the masks of a model that errs.
    Columns: agreement (sum of intersections with the unpruned masks over sum of unions) with its
    interval over images, ciou against the true masks, n_kept tokens that enter the language model,
    n_average tokens per layer.
    """
    pixels = ["same_inter_px", "same_union_px"]
    lines = []
    for (method, budget), cell in rows.groupby(["method", "budget"], sort=True):
        sums = cell.groupby(line_columns(cell), sort=True)[pixels].mean()
        images = sums.index.get_level_values("image_id").to_numpy()
        (found,) = bootstrap(sums.to_numpy(dtype=np.float64), images, ratios).estimates()
        true = cell[["inter_px", "union_px"]].sum().to_numpy(dtype=np.float64)
        lines.append(
            {
                "method": method,
                "budget": budget,
                **found.line("agreement"),
                "ciou": float(ratios(true[None])[0, 0]),
                "n_kept": shared_value(cell["n_kept"]),
                "n_average": float(shared_value(cell["n_average"])),
            }
        )
    return pd.DataFrame(lines)


def token_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Tokens that enter the language model and tokens per layer, by method and budget.

    Where images have different numbers of tokens, these are means over the rows.

    Raises:
        ValueError: If a method keeps different numbers of tokens of images that have as many.
    """
    whole = rows[rows["method"] == UNPRUNED].groupby("image_id")["n_kept"].first()
    size_of_image = rows["image_id"].map(whole).fillna(0)
    columns = ["n_kept", "n_average"]
    alike = rows.groupby(["method", "budget", size_of_image], sort=True)[columns]
    if (alike.nunique() > 1).any(axis=None):
        raise ValueError("a method keeps different numbers of tokens at one budget")
    return rows.groupby(["method", "budget"], sort=True)[columns].agg(shared_value).reset_index()


def shared_value(values: "pd.Series[float]") -> float | int:
    """The one value that all rows have, else their mean; a shared count stays a whole number."""
    first, *others = values.tolist()
    return float(values.mean()) if any(value != first for value in others) else first
