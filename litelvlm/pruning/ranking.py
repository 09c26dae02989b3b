"""Geometry of feature rows, and the one place where scores become an order.

Scores are ranked in float32, ties go to the lower index.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

Precision = Literal["float32", "bfloat16"]


def rounded(values: Float[Tensor, "*n"], precision: Precision = "float32") -> Float[Tensor, "*n"]:
    """Float32 values rounded to those that a number type can hold.

    Example:
        >>> rounded(torch.tensor([1.0, 1.003, 1.005]), "bfloat16").tolist()
        [1.0, 1.0, 1.0078125]
    """
    return values.bfloat16().float() if precision == "bfloat16" else values


def unit_rows(
    rows: Float[Tensor, "*n d"], precision: Precision = "float32"
) -> Float[Tensor, "*n d"]:
    """Rows divided by their L2 norm, float32; zero rows stay zero. Both steps are ``rounded``."""
    norms = rounded(row_norms(rows), precision)
    return rounded(rows.float() / norms.clamp_min(1e-12)[..., None], precision)


def row_norms(rows: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """L2 norm of each row, float32."""
    norms: Tensor = torch.linalg.vector_norm(rows.float(), dim=-1)
    return norms


def row_dots(rows: Float[Tensor, "*n d"], vector: Float[Tensor, "*m d"]) -> Float[Tensor, "*n"]:
    """Dot product of each row with a vector (broadcast), summed row by row.

    A matrix product sums rows in blocks, so equal rows could differ in the last bit and ties would
    break by chance.
    """
    return (rows * vector).sum(dim=-1)


def cosine_matrix(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Cosine of every row with every row, in [-1, 1]."""
    unit = unit_rows(rows)
    return unit @ unit.T


def stable_order(scores: Shaped[Tensor, "*batch n"], descending: bool) -> Int[Tensor, "*batch n"]:
    """Sort indices by score, equal scores by lower index.

    Selection libraries leave the order of ties open, and it differs between devices; half-precision
    scores tie often. So every ranking of this package is made here, on float32.

    Args:
        scores: Any number type; the last axis is sorted.
        descending: Highest score first.

    Raises:
        ValueError: If a score is NaN, which has no rank.

    Example:
        >>> stable_order(torch.tensor([1.0, 3.0, 3.0, 2.0]), descending=True).tolist()
        [1, 2, 3, 0]
    """
    scores = scores.float()
    n_bad = int(torch.isnan(scores).sum())
    if n_bad:
        raise ValueError(
            f"{n_bad} of {scores.numel()} scores are NaN and cannot be ranked; "
            "check the states they are computed from"
        )
    return torch.sort(scores, dim=-1, descending=descending, stable=True).indices


def highest(scores: Shaped[Tensor, "*batch n"], k: int) -> Int[Tensor, "*batch k"]:
    """Indices of the k highest scores, best first."""
    return stable_order(scores, descending=True)[..., :k]


def lowest(scores: Shaped[Tensor, "*batch n"], k: int) -> Int[Tensor, "*batch k"]:
    """Indices of the k lowest scores, lowest first."""
    return stable_order(scores, descending=False)[..., :k]


def rank_within(groups: Int[Tensor, "n"], scores: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Rank of every token among those of its group, 0 for the highest score.

    Example:
        >>> rank_within(torch.tensor([5, 5, 2, 5]), torch.tensor([1.0, 3.0, 2.0, 3.0])).tolist()
        [2, 0, 0, 1]
    """
    order = stable_order(scores, descending=True)
    order = order[torch.sort(groups[order], stable=True).indices]
    counts = torch.unique_consecutive(groups[order], return_counts=True)[1]
    firsts = (counts.cumsum(dim=0) - counts).repeat_interleave(counts)
    return torch.empty_like(order).scatter(
        0, order, torch.arange(len(order), device=order.device) - firsts
    )


def ascending(indices: Int[Tensor, "r"]) -> Int[Tensor, "r"]:
    """Kept indices in raster order."""
    return torch.sort(indices).values


def complement(indices: Int[Tensor, "r"], n_tokens: int) -> Int[Tensor, "rest"]:
    """Every token that is not in ``indices``, in raster order."""
    free = torch.ones(n_tokens, dtype=torch.bool, device=indices.device)
    free[indices] = False
    return free.nonzero().flatten()
