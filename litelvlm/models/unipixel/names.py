"""Tensor names of a UniPixel checkpoint."""

from litelvlm.models.sam2.names import TWINS, sam2_rows
from litelvlm.models.weight_names import NameTable, OwnWeight

_EMBEDDINGS = OwnWeight("qwen", "model.language_model.embed_tokens.weight")
_HEAD = OwnWeight("qwen", "lm_head.weight")
_ROWS = (
    # The pinned release writes these; later ones read and write the module's own names.
    ("visual.*", "qwen", "model.visual.*"),
    ("model.embed_tokens.*", "qwen", "model.language_model.embed_tokens.*"),
    ("model.layers.*", "qwen", "model.language_model.layers.*"),
    ("model.norm.*", "qwen", "model.language_model.norm.*"),
    ("model.visual.*", "qwen", "model.visual.*"),
    ("model.language_model.*", "qwen", "model.language_model.*"),
    ("lm_head.weight", "qwen", "lm_head.weight"),
    ("seg_head.*", "seg_head", "*"),
    *sam2_rows("sam2."),
)
_OTHER_TASKS = r"(ref_encoder|ref_proj|ref_proj_single|ref_proj_double|tem_\w+|msk_proj)\..+"
"""Parts that read points, boxes and remembered objects, not expressions."""


def names(tied: bool) -> NameTable:
    """The table of names.

    Args:
        tied: Whether the head is the matrix of embeddings, so that a file needs no second copy,
            and one that it has must be equal.
    """
    twins = {**TWINS, **({_EMBEDDINGS: _HEAD} if tied else {})}
    copies = {"lm_head.weight": _EMBEDDINGS} if tied else {}
    return NameTable("UniPixel", _ROWS, _OTHER_TASKS, twins, copies)
