"""Geometry of feature rows: directions, norms, cosines; and rounding to a number type."""

from typing import Literal

import torch
from jaxtyping import Float
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
