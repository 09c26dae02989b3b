"""Sizes of the miniature's CLIP, and how a model of these sizes is recognised.

Nothing of transformers is imported here: a stored run asks which family made it, and loads no model
for that.
"""

from litelvlm.clip.tower import Tower

VISION_SIZES = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "image_size": 168,
    "patch_size": 14,
}
TEXT_SIZES = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}


def has_miniature_sizes(tower: Tower | None) -> bool:
    """Whether a CLIP has the sizes of the miniature, whatever its training, folder or name.

    Args:
        tower: Both towers; None for a model without a CLIP.
    """
    sizes = {} if tower is None else tower.sizes
    return all(
        name in sizes and sizes[name].get(field) == size
        for name, own in (("vision_config", VISION_SIZES), ("text_config", TEXT_SIZES))
        for field, size in own.items()
    )
