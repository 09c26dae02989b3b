"""In how many directions [SOS] moves [EOS] of different texts.

A sink whose value is of ordinary size broadcasts: it adds a vector to [EOS], nearly the same one
for every text, since a causal [SOS] sees no word.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.clip.probes.text import TextTrace, eos_attention


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
