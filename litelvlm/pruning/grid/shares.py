"""A budget shared among the parts of an image."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.ranking import stable_order

EPS = 1e-6


def split_budget(weights: Float[Tensor, "p"], budget: int) -> Int[Tensor, "p"]:
    """Split the budget by weight into whole numbers; left-over tokens go to the heaviest parts."""
    counts = (weights * budget).floor().long()
    counts[stable_order(weights, descending=True)[: budget - int(counts.sum())]] += 1
    return counts


def redistribute(
    counts: Int[Tensor, "p"], sizes: Int[Tensor, "p"], weights: Float[Tensor, "p"]
) -> Int[Tensor, "p"]:
    """Cap every part at its size and give the surplus, by weight, to parts that have room."""
    budget = int(counts.sum())
    counts = torch.minimum(counts, sizes)
    while surplus := budget - int(counts.sum()):
        open_weights = torch.where(counts < sizes, weights + EPS, 0.0)
        wanted = split_budget(open_weights / open_weights.sum(), surplus)
        counts = torch.minimum(counts + torch.where(counts < sizes, wanted, 0), sizes)
    return counts
