"""Whether a fine-tuning fits into memory, reckoned before it begins."""

from typing import cast

import torch
from transformers import SamMaskDecoderConfig, SamVisionConfig

from litelvlm.models.glamm.masks.shared import PER_TOKEN
from litelvlm.models.glamm.model import Glamm
from litelvlm.training.finetune.recipe import FineTuneRecipe

_TEXT = 60  # tokens around the image
_TURN = 40  # tokens of a turn
_LEARNED = 12  # of these
_IN_LAYER = 16  # states of a layer's width that its gradient reads
_IN_DECODER = 24  # likewise of SAM's image tokens in each block
_FLOAT = 4


def bytes_needed(
    model: Glamm, recipe: FineTuneRecipe, most_tokens: int, keep_states: bool
) -> dict[str, int]:
    """What a fine-tuning adds to the loaded weights, by part.

    Gradients and moments are exact. Activations are a rough count of what each layer keeps.

    Args:
        model: With its adapters.
        recipe: Of the fine-tuning.
        most_tokens: Visual tokens that enter the language model.
        keep_states: Whether the states inside its layers are kept for their gradients.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    llama, sam = model.llama.config, model.sam.config
    decoder = cast(SamMaskDecoderConfig, sam.mask_decoder_config)
    size = next(model.projector.parameters()).element_size()
    length = recipe.batch * (most_tokens + _TEXT + _TURN * recipe.expressions)
    state = length * llama.hidden_size * size
    layers = llama.num_hidden_layers
    kept = layers * _IN_LAYER if keep_states else layers + _IN_LAYER
    masks = recipe.batch * recipe.expressions
    side = model.sam_image_size // cast(int, cast(SamVisionConfig, sam.vision_config).patch_size)
    image = side**2 * decoder.hidden_size * _FLOAT
    upscaled = (PER_TOKEN * side) ** 2 * decoder.hidden_size // 8 * _FLOAT
    return {
        "gradients and moments": 3 * _FLOAT * trained,
        "states of the language model": kept * state,
        "words": 3 * _FLOAT * recipe.batch * recipe.expressions * _LEARNED * llama.vocab_size,
        "masks": masks * (_IN_DECODER * decoder.num_hidden_layers * image + 6 * upscaled),
    }


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil  # comes with accelerate

    return int(psutil.virtual_memory().available)


def check_memory(model: Glamm, recipe: FineTuneRecipe, most_tokens: int, keep_states: bool) -> None:
    """Refuse a fine-tuning that does not fit.

    Raises:
        ValueError: With what is needed, by part, and what is free.
    """
    needed, free = bytes_needed(model, recipe, most_tokens, keep_states), free_bytes(model.device)
    total = sum(needed.values())
    if total > free:
        parts = ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in needed.items())
        raise ValueError(
            f"fine-tuning needs about {total / 1e9:.2f} GB beside the weights ({parts}), and "
            f"{free / 1e9:.2f} GB are free on {model.device}; lower --batch or --expressions, "
            "train fewer parts with --trained, or leave out --keep-states"
        )
