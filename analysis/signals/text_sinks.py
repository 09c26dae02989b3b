"""What a sink on [SOS] does: nothing, or the same thing to every text.

Attention alone does not tell. A sink whose value is small carries little: it is nearly no
operation. A sink with a value of ordinary size broadcasts: it adds a vector to [EOS], nearly the
same one for every text, since a causal [SOS] sees no word.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.arrays import Array
from litelvlm.clip.probes.text import TextTrace, eos_attention

SINK_LIFT = 2.0
"""Lift from which [SOS] counts as a sink: twice what uniform attention gives it."""
SMALL_VALUE = 0.5
"""Value norm of [SOS], over the words', below which a sink counts as no operation."""


def sink_kind(
    lift: Float[Array, "*rows"], value_ratio: Float[Array, "*rows"]
) -> dict[str, Float[Array, "*rows"]]:
    """Whether attention on [SOS] is a sink, and of which kind.

    The share carried by norm does not tell the kinds apart. A strong sink leaves so little
    attention for the words that even a tiny value is most of what is carried. The size of the value
    does tell. Both thresholds are ours, settled before any row was seen.

    Args:
        lift: Attention on [SOS] over uniform attention.
        value_ratio: Value norm of [SOS] over the median of the words'.

    Returns:
        "sink_noop" and "sink_broadcast", 1 or 0, both 0 where there is no sink.

    Example:
        >>> found = sink_kind(np.array([1.0, 5.0, 5.0]), np.array([0.1, 0.1, 1.0]))
        >>> found["sink_noop"].tolist(), found["sink_broadcast"].tolist()
        ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    """
    sink, small = lift > SINK_LIFT, value_ratio < SMALL_VALUE
    return {
        "sink_noop": np.asarray((sink & small).astype(np.float64)),
        "sink_broadcast": np.asarray((sink & ~small).astype(np.float64)),
    }


def sos_ranks(trace: TextTrace) -> list[float]:
    """Effective rank of what [SOS] gives to [EOS] of each text, by layer.

    It is the participation ratio of the squared singular values, not centred.
    """
    n_heads = trace.tower.n_text_heads
    weights = eos_attention(trace)[..., 0]
    found = []
    for layer, (block, states) in enumerate(
        zip(trace.tower.text_blocks, trace.inputs, strict=True)
    ):
        values = block.qkv(states)[2].float().unflatten(-1, (n_heads, -1))
        by_head = block.output_weight.float().unflatten(-1, (n_heads, -1))
        moved = torch.einsum("the,ohe->tho", values[:, 0], by_head)
        found.append(effective_rank((weights[layer, ..., None] * moved).sum(1)))
    return found


def effective_rank(vectors: Float[Tensor, "t d"]) -> float:
    """(sum of s^2)^2 / sum of s^4 over singular values s: 1 for copies of one direction.

    It is nan if a number is not finite.

    Example:
        >>> round(effective_rank(torch.eye(3)), 6)
        3.0
    """
    if not vectors.isfinite().all():
        return float("nan")
    energy = torch.linalg.svdvals(vectors.double()).square()
    return float(energy.sum().square() / energy.square().sum().clamp_min(1e-300))
