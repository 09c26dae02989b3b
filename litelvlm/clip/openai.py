"""OpenAI's CLIP ViT-L/14 at 336 pixels: its hub id, and how an image tower of its sizes is found.

GLaMM and LLaVA-1.5 read pictures with this tower.
"""

from transformers import CLIPVisionConfig, PreTrainedConfig

OPENAI_CLIP = "openai/clip-vit-large-patch14-336"


def has_openai_sizes(vision: PreTrainedConfig | None) -> bool:
    """Whether an image tower is a CLIP with the width, layers, pixels and patch of this one.

    Args:
        vision: Configuration of the image tower; None for a model without one.
    """
    return (
        isinstance(vision, CLIPVisionConfig)
        and vision.hidden_size == 1024
        and vision.num_hidden_layers == 24
        and vision.image_size == 336
        and vision.patch_size == 14
    )
