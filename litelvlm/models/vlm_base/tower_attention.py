"""Attention in an image tower, computed from the queries, keys and mask of a call."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from litelvlm.models.vlm_base.attention import AttentionStates

QUERIES_AT_ONCE = 512


def received_attention(states: AttentionStates) -> Float[Tensor, "b s"]:
    """Attention that each patch receives, mean over heads and queries, float32.

    A query counts if it is no padding and may attend to the patch: under the mask of images that
    share a sequence these are the patches of its own image. Padding receives 0.

    Raises:
        ValueError: If the mask is of an unknown kind.
    """
    mask, (heads, length) = call_mask(states), states.query.shape[1:3]
    total = torch.zeros(states.key.shape[0], states.key.shape[2], device=states.key.device)
    pairs = torch.zeros_like(total, dtype=torch.int64)
    for start in range(0, length, QUERIES_AT_ONCE):
        place = slice(start, min(start + QUERIES_AT_ONCE, length))
        rows = attention_rows(states, mask, place)
        if mask is None:
            pairs += heads * rows.shape[2]
        else:
            # A real patch may attend to itself, and padding is hidden from itself too.
            real = allowed(mask.diagonal(dim1=-2, dim2=-1))[:, :, place, None]
            counted = allowed(mask[:, :, place]) & real
            rows = rows.masked_fill(~counted, 0.0)
            pairs += counted.sum(dim=(1, 2))
        total += rows.sum(dim=(1, 2))
    return total / pairs.clamp(min=1)


def first_attention(states: AttentionStates) -> Float[Tensor, "b s"]:
    """Attention of the first patch, which is CLS where there is one, mean over heads, float32.

    Raises:
        ValueError: If the mask is of an unknown kind.
    """
    return attention_rows(states, call_mask(states), slice(0, 1)).mean(dim=(1, 2))


def attention_rows(  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
    states: AttentionStates, mask: Tensor | None, queries: slice
) -> Float[Tensor, "b h q s"]:
    """Attention of some queries to all keys under a mask of ``call_mask``, float32."""
    logits = states.query[:, :, queries].float() @ states.key.float().mT * states.scale
    if mask is not None:
        part = mask[:, :, queries]
        if part.dtype == torch.bool:
            logits = logits.masked_fill(~part, float("-inf"))
        else:
            logits = logits + part.float()
    rows: Tensor = logits.softmax(dim=-1)
    return rows


def call_mask(states: AttentionStates) -> Tensor | None:
    """The mask of a call for each pair of a query and a key.

    Returns:
        Boolean, whether a query may attend, or floats that are added to the products
        [b, heads, s, s]; None if each attends to all.

    Raises:
        ValueError: If the mask is of another kind, as FlexAttention's are.
    """
    mask, shape = states.mask, (*states.query.shape[:3], states.key.shape[2])
    if mask is None:
        return None
    if isinstance(mask, Tensor):
        if mask.ndim == 2 and not mask.is_floating_point():
            # Flash attention is told which patches are real.
            mask = mask.bool()[:, None, None]
        known = mask.dtype == torch.bool or mask.is_floating_point()
        if known and mask.ndim == 4 and fits(mask, shape):
            return mask.expand(shape)
    kind = f"{mask.dtype}, {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
    raise ValueError(
        f"the image tower attends under a mask of an unknown kind ({kind}), so its attention "
        "cannot be told; load the model with attn_implementation='sdpa' or 'eager', or take a "
        "method that reads no attention, for example 'tower_value_norm' or 'divprune'"
    )


def fits(mask: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a mask can be repeated to a shape of as many queries as keys."""
    sizes = zip(mask.shape, shape, strict=True)
    return shape[2] == shape[3] and all(size in (1, wanted) for size, wanted in sizes)


def allowed(mask: Tensor) -> Bool[Tensor, "..."]:
    """Where a query may attend; floats forbid by the lowest number of their type, or by -inf."""
    return mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
