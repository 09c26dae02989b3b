"""Similarity of texts and patches in CLIP's joint space."""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from litelvlm.pruning.cues import Cues
from litelvlm.pruning.features import Precision, rounded, row_dots, unit_rows

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
