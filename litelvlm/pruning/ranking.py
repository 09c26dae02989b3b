"""The one place where scores become an order: float32, ties to the lower index."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


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
