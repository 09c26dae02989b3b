"""Measures of the score itself: how reversed it is, correlation with attention, rounding."""

from collections.abc import Mapping
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats

from litelvlm.analysis.inputs.methods import PAPER
from litelvlm.analysis.stats.ranking import tie_fraction
from litelvlm.arrays import Array
from litelvlm.pruning import Cues, get_pruner
from litelvlm.pruning.ranking import Precision
from litelvlm.pruning.scoring import text_similarity

SUMS = ("count", "x", "y", "xx", "yy", "xy")
ROUNDED = "bfloat16"


def similarity(cues: Cues, precision: Precision = "float32") -> Float[Array, "n"]:
    """Similarity of the first text with every token, in float64."""
    found: Array = text_similarity(cues, precision=precision)[0].cpu().numpy().astype(np.float64)
    return found


def correlations(x: Float[Array, "n"], y: Float[Array, "n"]) -> dict[str, float]:
    """Pearson and Spearman correlation of one sample, and the sums that a pooled one needs.

    Both are nan where a side is constant, which the summary counts.
    """
    constant = np.ptp(x) == 0 or np.ptp(y) == 0
    pearson, spearman = (
        float("nan") if constant else float(f(x, y).statistic)
        for f in (stats.pearsonr, stats.spearmanr)
    )
    sums = (float(len(x)), x.sum(), y.sum(), x @ x, y @ y, x @ y)
    return {"pearson": pearson, "spearman": spearman} | {
        f"sum_{name}": float(value) for name, value in zip(SUMS, sums, strict=True)
    }


def rounding(cues: Cues, budgets: Mapping[int, int]) -> dict[str, float]:
    """Share of tied scores in either number type, and overlap of both kept sets at each budget.

    Args:
        cues: Of the conversation.
        budgets: Token counts by name.
    """
    found = {f"ties_{kind}": tie_fraction(similarity(cues, kind)) for kind in get_args(Precision)}
    exact, coarse = get_pruner(PAPER), get_pruner(PAPER, precision=ROUNDED)
    return found | {
        f"jaccard_{name}": jaccard(*(p.select(cues, k).indices for p in (exact, coarse)))
        for name, k in budgets.items()
    }


def jaccard(first: torch.Tensor, second: torch.Tensor) -> float:
    """Shared over all entries of two sets.

    Example:
        >>> jaccard(torch.tensor([1, 2, 3]), torch.tensor([3, 4, 1]))
        0.5
    """
    shared = int(torch.isin(first, second).sum())
    return shared / (len(first) + len(second) - shared)


def without_values(measures: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    """The same columns for rows that are not measured, so that all rows have the same ones."""
    return {name: float("nan") for found in measures.values() for name in found}
