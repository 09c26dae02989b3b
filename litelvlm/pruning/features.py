"""Geometry of feature rows: directions, cosines, farthest points."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def unit_rows(rows: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Rows divided by their L2 norm, float32; a zero row stays zero."""
    return torch.nn.functional.normalize(rows.float(), dim=-1, eps=1e-12)


def row_norms(rows: Float[Tensor, "*n d"]) -> Float[Tensor, "*n"]:
    """L2 norm of each row, float32."""
    norms: Tensor = torch.linalg.vector_norm(rows.float(), dim=-1)
    return norms


def row_dots(rows: Float[Tensor, "*n d"], vector: Float[Tensor, "*m d"]) -> Float[Tensor, "*n"]:
    """Dot product of each row with a vector (broadcast), summed row by row.

    A matrix product sums rows in blocks, so equal rows could differ in the last bit and ties would break by chance.
    """
    return (rows * vector).sum(dim=-1)


def cosine_matrix(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Cosine of every row with every row, in [-1, 1]."""
    unit = unit_rows(rows)
    return unit @ unit.T


def farthest_points(distances: Float[Tensor, "n n"], first: int, k: int) -> Int[Tensor, "k"]:
    """Farthest-point sampling: each next point has the largest distance to its nearest chosen one.

    Ties go to the lower index. O(k n) after the distances.

    Args:
        distances: Pairwise, any monotone measure, lower is nearer.
        first: Point to start from.
        k: Points to choose, in order of choice.
    """
    chosen = torch.full((k,), first, device=distances.device)
    nearest = distances[first].clone()
    for step in range(1, k):
        nearest[chosen[step - 1]] = float("-inf")
        chosen[step] = nearest.argmax()
        # A slice keeps the index on its device: no step waits for the host.
        nearest = torch.minimum(nearest, distances[chosen[step : step + 1]][0])
    return chosen
