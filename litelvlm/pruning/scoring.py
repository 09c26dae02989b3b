"""Scores that several methods and studies rank tokens by."""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from litelvlm.pruning.cues import Cues
from litelvlm.pruning.ranking import Precision, highest, rounded, row_dots, row_norms, unit_rows

Similarity = Literal["dot", "cosine"]


def text_similarity(
    cues: Cues, kind: Similarity = "dot", precision: Precision = "float32"
) -> Float[Tensor, "t n"]:
    """Similarity of every text with every patch in CLIP's joint space.

    "dot" is the raw product of the projected states. The norm of a text cannot change its own
    ranking, the norms of the patches do; so "cosine" ranks differently through the patch norms
    only. With "bfloat16" states and products are rounded as that number type rounds them; sums run
    in float32, as they do on a GPU. Methods and budgets that ask for the same one share it.
    """
    return cues.derived(
        ("text_similarity", kind, precision), partial(_text_similarity, cues, kind, precision)
    )


def _text_similarity(cues: Cues, kind: Similarity, precision: Precision) -> Float[Tensor, "t n"]:
    texts, patches = (
        rounded(cues.float32(name), precision) for name in ("text_embeds", "patch_embeds")
    )
    if kind == "cosine":
        texts, patches = unit_rows(texts, precision), unit_rows(patches, precision)
    return rounded(torch.stack([row_dots(patches, text) for text in texts]), precision)


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


def coordinate_ranking(cosine: Float[Tensor, "n"], sine: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Every token once, the best coordinates first.

    The next largest mean cosine and the next largest mean sine alternate. At position m they are
    ``mean_f cos(m theta_f)`` and ``mean_f sin(m theta_f)`` over the rotary frequencies. They depend
    on the place of the image in the prompt, not on the image.

    Args:
        cosine: Mean cosine of each token's rotary angles.
        sine: Mean sine.

    Source: IVC-Prune, official code; arXiv 2602.03060.

    Example:
        >>> cosine, sine = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0.2, 0.7, 0.6])
        >>> coordinate_ranking(cosine, sine).tolist()
        [0, 1, 2]
    """
    rankings = [highest(cosine, len(cosine)), highest(sine, len(sine))]
    return first_of_each(torch.stack(rankings, dim=1).flatten())


def first_of_each(indices: Int[Tensor, "m"]) -> Int[Tensor, "k"]:
    """Indices in their order, each where it occurs first.

    Example:
        >>> first_of_each(torch.tensor([4, 0, 4, 2, 0])).tolist()
        [4, 0, 2]
    """
    values, group = torch.unique(indices, return_inverse=True)
    places = torch.arange(len(indices), device=indices.device)
    first = torch.full_like(values, len(indices)).scatter_reduce(0, group, places, reduce="amin")
    return indices[torch.sort(first).values]


def add_coordinates(
    chosen: Int[Tensor, "c"], ranking: Int[Tensor, "n"], count: int
) -> Int[Tensor, "count"]:
    """Chosen tokens, then the best coordinates that are not among them, ``count`` in all."""
    return first_of_each(torch.cat([chosen, ranking]))[:count]
