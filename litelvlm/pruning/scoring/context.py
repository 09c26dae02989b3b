"""LiteLVLM's context scores: how much a patch says about the image as a whole."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import Precision, rounded, row_dots, row_norms, unit_rows

Context = Literal["code", "paper", "cls_attention", "attention_only", "value_norm"]


def context_scores(
    cues: Cues, kind: Context = "code", precision: Precision = "float32"
) -> Float[Tensor, "n"]:
    """Score of each patch for the image as a whole; higher is kept.

    "code": ``softmax_i(cos(q, K_i) / sqrt(D)) * |V_i|``, one softmax over the patches, heads
    joined, q the CLS row. The logits lie within 1 / sqrt(D) of 0, so for D = 1024 weights differ by
    at most 6.5 %: nearly a ranking by |V|.
    "paper": the same with the plain product ``q K_i``.
    "attention_only": the first factor of "code".
    "value_norm": the second factor of "code".
    "cls_attention": CLIP's own head-averaged CLS attention in the second-last block.

    With "bfloat16" every intermediate result is rounded as that number type rounds it: few
    different weights are left, and many equal scores.
    """

    def read(name: str) -> Tensor:
        return rounded(cues.float32(name), precision)

    if kind == "cls_attention":
        return read("cls_attention")
    if kind == "value_norm":
        return rounded(row_norms(read("values")), precision)
    query, keys = read("query"), read("keys")
    if kind != "paper":
        query, keys = unit_rows(query, precision), unit_rows(keys, precision)
    logits = rounded(rounded(row_dots(keys, query), precision) * query.shape[-1] ** -0.5, precision)
    attention = rounded(torch.softmax(logits, dim=0), precision)
    if kind == "attention_only":
        return attention
    if precision == "bfloat16":
        return rounded(
            row_norms(rounded(attention[:, None] * read("values"), precision)), precision
        )
    return attention * row_norms(cues.float32("values"))
