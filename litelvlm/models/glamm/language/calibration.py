"""Attention calibrated by the patches that a visual token holds and by the tokens' distance."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LlamaForCausalLM

from litelvlm.models.glamm.language.llama import LayerMask, causal_mask
from litelvlm.pruning.layers.base import LayerPlan
from litelvlm.pruning.selection import Selection


def distance_bias(cos: Float[Tensor, "s e"], sin: Float[Tensor, "s e"]) -> Float[Tensor, "s s"]:
    """``log(2 - m(d))`` for every pair of tokens, m the mean cosine of their rotary distance.

    Args:
        cos: Cosine of every token's rotary angles.
        sin: Their sine.

    Returns:
        0 for tokens at one position, growing with their distance.
    """
    # The cosine of a difference of angles is the sum of two products.
    mean = (cos @ cos.T + sin @ sin.T) / cos.shape[1]
    return (2 - mean).log()


def calibrated_masks(
    llama: LlamaForCausalLM,
    selections: Sequence[Selection | None],
    starts: Sequence[int],
    position_ids: Int[Tensor, "b s"],
) -> LayerMask | None:
    """Causal masks [b, 1, s, s] by layer with calibration; None if no selection needs it.

    The first layer counts every visual token as N / R patches, later layers as the patches it
    holds. Text tokens count one. The distance term applies to all pairs of tokens.

    Args:
        llama: The language model.
        selections: One per row; those with ``sizes`` are calibrated.
        starts: Index of the first visual token of each row.
        position_ids: Rotary positions of the batch.

    Raises:
        ValueError: If a row drops tokens inside the language model, or the attention kernel accepts
            no bias.

    Source: RESTORE, official code; arXiv 2606.01711.
    """
    if all(selection is None or selection.sizes is None for selection in selections):
        return None
    if any(isinstance(selection, LayerPlan) for selection in selections):
        raise ValueError(
            "calibrated rows and rows that drop tokens inside the language model cannot share a "
            "batch; ground them in separate batches"
        )
    kernel = llama.config._attn_implementation
    if "flash" in str(kernel):
        raise ValueError(
            f"attention kernel {kernel!r} does not accept the additive bias that calibration "
            "needs; use sdpa"
        )
    cos, sin = llama.model.rotary_emb(
        torch.empty(0, device=position_ids.device), position_ids=position_ids
    )
    rows, length = position_ids.shape
    first, later = (torch.zeros(rows, 1, length, device=cos.device) for _ in range(2))
    distance = torch.zeros(rows, length, length, device=cos.device)
    for row, (selection, start) in enumerate(zip(selections, starts, strict=True)):
        if selection is not None and selection.sizes is not None:
            visual = slice(start, start + len(selection))
            first[row, 0, visual] = torch.tensor(selection.n_tokens / len(selection)).log()
            later[row, 0, visual] = selection.sizes.to(later.device).log()
            distance[row] = distance_bias(cos[row].float(), sin[row].float())
    causal = causal_mask(length, torch.float32, cos.device)
    floor = torch.finfo(llama.dtype).min
    masks = [
        (causal + (size + distance)[:, None]).clamp(min=floor).to(llama.dtype)
        for size in (first, later)
    ]
    return lambda layer: masks[min(layer, 1)]
