"""Attention masks for the tokens that are left."""

import torch
from jaxtyping import Int
from torch import Tensor


def cut_mask(
    mask: Tensor | None, queries: Int[Tensor, "b q"], keys: Int[Tensor, "b k"], kernel: str
) -> Tensor | None:
    """Cut a mask to the columns of the prompt that a layer still processes.

    Args:
        mask: What the full prompt has: boolean or additive [b or 1, 1, s, s], or None where the
            kernel makes its own causal mask.
        queries: Columns of the tokens that attend, ascending; -1 for padding that was added.
        keys: Columns of the tokens that are attended to, likewise.
        kernel: Name of the attention implementation.

    Returns:
        The cut mask [b, 1, q, k], or None where the kernel's own is right.

    Raises:
        ValueError: If rows of a batch keep different numbers of tokens under a kernel that takes no
            such mask.
    """
    added = keys < 0
    if mask is None and not bool(added.any()):
        return None
    if mask is None:
        allowed = keys[:, None, :] <= queries[:, :, None]
        if kernel != "sdpa" and kernel != "eager":
            raise ValueError(
                f"rows of this batch keep different numbers of tokens, which kernel {kernel!r} "
                "cannot mask; give one row at a time, or load the model with "
                "attn_implementation='sdpa'"
            )
        full = allowed[:, None]
        if kernel == "eager":
            full = torch.zeros(full.shape, device=keys.device).masked_fill(
                ~full, torch.finfo(torch.float32).min
            )
    else:
        rows = torch.arange(len(keys), device=keys.device)[:, None, None]
        wide = mask.expand(len(keys), -1, -1, -1)[:, 0]
        last = wide.shape[1] - 1
        # A later pass has one query, whatever its column.
        lines = queries.clamp(min=0) if last else torch.zeros_like(queries)
        full = wide[rows, lines[:, :, None], keys.clamp(min=0)[:, None, :]][:, None]
    hidden = added[:, None, None, :].expand_as(full)
    if full.dtype == torch.bool:
        full = full & ~hidden
        # A query without any key would be NaN; nobody reads those of added padding.
        return full | (queries < 0)[:, None, :, None]
    full = full.masked_fill(hidden, torch.finfo(full.dtype).min)
    return full.masked_fill((queries < 0)[:, None, :, None], 0.0)
