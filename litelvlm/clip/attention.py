"""One row of attention, and the states that enter a tower's blocks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def attention_row(
    query: Float[Tensor, "b d"],
    keys: Float[Tensor, "b s d"],
    n_heads: int,
    hidden: Bool[Tensor, "b s"] | None = None,
) -> Float[Tensor, "b h s"]:
    """Softmax attention of one position over all keys, per head, without the full attention map.

    Args:
        query: Output of the query projection for the one position.
        keys: Outputs of the key projection for all positions.
        n_heads: Heads the width is split into.
        hidden: Keys this position may not see.

    Returns:
        Weights in [0, 1], each head's row summing to 1, in float32.
    """
    q = query.float().unflatten(-1, (n_heads, -1))
    k = keys.float().unflatten(-1, (n_heads, -1))
    logits = torch.einsum("bhe,bshe->bhs", q, k) * q.shape[-1] ** -0.5
    if hidden is not None:
        logits = logits.masked_fill(hidden[:, None], float("-inf"))
    weights: Tensor = logits.softmax(dim=-1)
    return weights


@contextmanager
def capture_inputs(layers: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the hidden states that enter each of ``layers`` while the context is open.

    No hook outlives it.
    """
    inputs: list[Tensor] = []

    def remember(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        inputs.append(cast(Tensor, args[0] if args else kwargs["hidden_states"]))

    handles = [layer.register_forward_pre_hook(remember, with_kwargs=True) for layer in layers]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()
