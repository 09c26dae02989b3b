"""Kept tokens that are there for one of two reasons."""

import torch
from jaxtyping import Int
from torch import Tensor

from litelvlm.pruning.ranking import ascending
from litelvlm.pruning.selection import RawSelection


def two_roles(
    indices: Int[Tensor, "r"], n_first: int, first: str, second: str = ""
) -> RawSelection:
    """Bring tokens to raster order; the first ``n_first`` have one role, the others another."""
    kept = ascending(indices)
    is_first = torch.isin(kept, indices[:n_first]).tolist()
    return RawSelection(kept, roles=tuple(first if flag else second for flag in is_first))
