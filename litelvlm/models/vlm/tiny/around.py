"""A random LLaVA around a trained image tower, so that CLIP's part of it means something."""

import torch
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration, PreTrainedModel

from litelvlm.clip.hf import ClipTower
from litelvlm.models.vlm.tiny.base import IMAGE, PAD, TEXT, random_weights


def llava_around(tower: ClipTower) -> PreTrainedModel:
    """Build a LLaVA whose image tower is a given CLIP's; projector and language model are random.

    Args:
        tower: CLIP's towers; the weights of the image tower are copied.
    """
    config = LlavaConfig(
        vision_config=tower.vision_config.to_dict(),
        text_config={**TEXT, "model_type": "llama"},
        image_token_index=IMAGE,
    )
    model = random_weights(LlavaForConditionalGeneration(config), seed=0)
    model.get_submodule("model.vision_tower").load_state_dict(tower.clip.vision_model.state_dict())
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD
    return model


def llava_prompt(tower: ClipTower, pixel_values: Tensor) -> dict[str, Tensor]:
    """A prompt for such a model: some words, one image, and a question of six further words.

    Args:
        tower: CLIP's towers.
        pixel_values: One image [1, 3, h, w], as ``tower.pixel_values`` makes it.
    """
    rows, columns = tower.grid
    ids = [1, 3, 4, *[IMAGE] * (rows * columns), *range(6, 12)]
    return {"input_ids": torch.tensor([ids]), "pixel_values": pixel_values}
