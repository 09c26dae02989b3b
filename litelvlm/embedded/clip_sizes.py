"""Sizes of the miniature's CLIP, and how a model of these sizes is recognised.

Nothing is imported here: a stored run asks which family made it, and loads no model for that.
"""

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


def has_miniature_sizes(model: object) -> bool:
    """Whether a model's CLIP has the sizes of the miniature, whatever its training, folder or name.

    The answer is False for a model whose tower is not a CLIP of the transformers library.
    """
    config = getattr(getattr(getattr(model, "tower", None), "clip", None), "config", None)
    return all(
        getattr(getattr(config, tower, None), name, None) == size
        for tower, sizes in (("vision_config", VISION_SIZES), ("text_config", TEXT_SIZES))
        for name, size in sizes.items()
    )
