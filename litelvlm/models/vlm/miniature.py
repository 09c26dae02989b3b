"""Miniature LLaVAs: the miniature's CLIP, and a stored projector and language model."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from litelvlm.clip.hf import ClipTower
from litelvlm.finite import require_finite_weights
from litelvlm.models.files import WEIGHTS

LLAVA, BOXES = WEIGHTS / "llava", WEIGHTS / "llava_boxes"
CLIP = WEIGHTS / "pictograms" / "clip"
"""What is stored of the two miniature LLaVAs, and the CLIP that they share with GLaMM's."""
_STORED = "model.safetensors"
_TOWER = "model.vision_tower."
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""LLaVA-1.5's prompt."""


def vision_of(config: CLIPConfig | LlavaConfig) -> CLIPVisionConfig:
    """The part of a configuration that is about the image tower.

    Raises:
        TypeError: If the tower is not CLIP's.
    """
    vision = config.vision_config
    if not isinstance(vision, CLIPVisionConfig):
        raise TypeError(f"the image tower is {type(vision).__name__}, expected CLIP's")
    return vision


def make_processor(tokenizer: PreTrainedTokenizerFast, config: LlavaConfig) -> LlavaProcessor:
    """The processor of a miniature LLaVA; pictures become CLIP's centre square."""
    vision = vision_of(config)
    side = vision.image_size
    if not isinstance(side, int):
        raise TypeError(f"the images have the size {side}, expected one number")
    images = CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        chat_template=tokenizer.chat_template or CHAT_TEMPLATE,
        num_additional_image_tokens=1,  # CLS
    )


def assemble(
    config: LlavaConfig, state: Mapping[str, Tensor], tower: ClipTower
) -> LlavaForConditionalGeneration:
    """Put stored weights and CLIP's image tower together.

    Args:
        config: Sizes.
        state: Weights of everything but the tower, under the library's names.
        tower: The CLIP that the projector was trained on.

    Raises:
        ValueError: If a weight is missing, unknown, misshapen, NaN or infinite.
    """
    model: LlavaForConditionalGeneration = LlavaForConditionalGeneration._from_config(config)
    own = model.state_dict()
    vision = tower.clip.vision_model.state_dict()
    prefix = _TOWER if f"{_TOWER}embeddings.class_embedding" in own else f"{_TOWER}vision_model."
    whole = dict(state) | {f"{prefix}{name}": value for name, value in vision.items()}
    wrong = sorted(set(own) ^ set(whole))
    wrong += [name for name in own if name in whole and own[name].shape != whole[name].shape]
    if wrong:
        raise ValueError(
            f"{len(wrong)} weights are missing, unknown or of another shape, the first is "
            f"{wrong[0]}; install the package again"
        )
    model.load_state_dict({name: value.float() for name, value in whole.items()})
    require_finite_weights(model, "the miniature LLaVA")
    model.eval()
    model.requires_grad_(False)
    return model


def save_miniature(
    folder: Path,
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Store a miniature in float16: configuration, tokenizer and every weight but the tower's."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    state = {
        name: value.detach().to(torch.float16).contiguous().cpu()
        for name, value in model.state_dict().items()
        if not name.startswith(_TOWER)
    }
    save_file(state, folder / _STORED)


def read_miniature(
    folder: Path, tower: ClipTower
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Load a stored miniature in float32 with its processor.

    Raises:
        ValueError: If a file does not fit.
        OSError: If a file is missing.
    """
    config = LlavaConfig.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = assemble(config, load_file(folder / _STORED), tower)
    return model, make_processor(tokenizer, config)
