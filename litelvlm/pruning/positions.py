"""Output order of the kept tokens and the sequence positions they take in the language model.

Order and positions are choices of their own, independent of which tokens are kept. Each output
token has a *place*: the raster index it stands for. A kept token's place is its own index, a merged
token's the index of its destination or the median of its members, that of CLS 0, and that of a
token for all that was left over N - 1.

Source: grounding-aware position ids (GAP, arXiv 2506.21873) for "original", Nuwa (arXiv 2602.02951)
for "stretch", RESTORE (arXiv 2606.01711) for the median.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.names import check_name

Order = Literal["native", "raster"]
Positions = Literal["contiguous", "original", "stretch"]


def output_order(places: Int[Tensor, "r"], order: Order) -> Int[Tensor, "r"]:
    """Permutation that brings tokens from the method's own order into the wanted one.

    Args:
        places: Raster index each token stands for, in the method's own order.
        order: "native" leaves it as it is, "raster" sorts by place (equal places stay in the
            method's order).
    """
    if check_name(order, ("native", "raster"), "order") == "native":
        return torch.arange(len(places), device=places.device)
    return torch.sort(places, stable=True).indices


def sequence_positions(
    places: Int[Tensor, "r"], n_tokens: int, policy: Positions
) -> tuple[Int[Tensor, "1 r"], int]:
    """Positions of the output tokens from the first visual one, and the span of the image block.

    Args:
        places: Raster index each token stands for, in output order.
        n_tokens: Tokens before pruning.
        policy: "contiguous": 0, 1, 2 ... and the text follows directly. "original": the place
            itself, and the text stays where it was without pruning. "stretch": the output order
            spread evenly over the unpruned range (a single token goes to its middle), text as in
            "original".

    Returns:
        Positions on one axis, and the positions that the image block takes.
    """
    check_name(policy, ("contiguous", "original", "stretch"), "positions")
    n_kept = len(places)
    steps = torch.arange(n_kept, device=places.device)
    if policy == "contiguous":
        return steps[None], n_kept
    if policy == "original":
        return places[None], n_tokens
    if n_kept == 1:
        return torch.full_like(places, (n_tokens - 1) // 2)[None], n_tokens
    # Whole-number arithmetic: floor(x + 1/2) of x = step (N - 1) / (r - 1), the same on every
    # machine.
    return ((2 * steps * (n_tokens - 1) + n_kept - 1) // (2 * (n_kept - 1)))[None], n_tokens


def median_places(source: Float[Tensor, "r n"], otherwise: Int[Tensor, "r"]) -> Int[Tensor, "r"]:
    """Median raster index of each token's members (the lower one of two).

    Args:
        source: Merge weights; the members of a row are its non-zero entries.
        otherwise: Places of the rows that have no member.
    """
    members = source != 0
    count = members.sum(dim=1, keepdim=True)
    reached = members.cumsum(dim=1) >= (count + 1) // 2
    return torch.where(count[:, 0] > 0, reached.int().argmax(dim=1), otherwise)
