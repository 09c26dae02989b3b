"""Implicit visual coordinates: tokens whose rotary angles tell a language model where it looks."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.ranking import highest


def coordinate_ranking(cosine: Float[Tensor, "n"], sine: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Every token once, the best coordinates first.

    The next largest mean cosine and the next largest mean sine alternate. At position m they are
    ``mean_f cos(m theta_f)`` and ``mean_f sin(m theta_f)`` over the rotary frequencies. They depend
    on the place of the image in the prompt, not on the image.

    Args:
        cosine: Mean cosine of each token's rotary angles.
        sine: Mean sine.

    Source: IVC-Prune, official code; arXiv 2602.03060.

    Example:
        >>> cosine, sine = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0.2, 0.7, 0.6])
        >>> coordinate_ranking(cosine, sine).tolist()
        [0, 1, 2]
    """
    rankings = [highest(cosine, len(cosine)), highest(sine, len(sine))]
    return first_of_each(torch.stack(rankings, dim=1).flatten())


def first_of_each(indices: Int[Tensor, "m"]) -> Int[Tensor, "k"]:
    """Indices in their order, each where it occurs first.

    Example:
        >>> first_of_each(torch.tensor([4, 0, 4, 2, 0])).tolist()
        [4, 0, 2]
    """
    values, group = torch.unique(indices, return_inverse=True)
    places = torch.arange(len(indices), device=indices.device)
    first = torch.full_like(values, len(indices)).scatter_reduce(0, group, places, reduce="amin")
    return indices[torch.sort(first).values]


def add_coordinates(
    chosen: Int[Tensor, "c"], ranking: Int[Tensor, "n"], count: int
) -> Int[Tensor, "count"]:
    """Chosen tokens, then the best coordinates that are not among them, ``count`` in all."""
    return first_of_each(torch.cat([chosen, ranking]))[:count]
