"""Geometry of feature rows: directions, norms, cosines."""

import torch
from jaxtyping import Float
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
