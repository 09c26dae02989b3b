"""Families whose images vary in size or are cut into tiles: separators, grids, packed rows."""

from collections.abc import Sequence

import torch
import transformers as hf
from torch import Tensor

from litelvlm.models.vlm.tiny.base import (
    IMAGE,
    VIDEO,
    MakeInputs,
    TinyFamily,
    VisualInputs,
    configure,
    normal,
)
from litelvlm.models.vlm.tiny.plain import CLIP, SIGLIP, frames, text

PIXTRAL = {
    "model_type": "pixtral",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 8,
    "image_size": 32,
    "patch_size": 4,
}


def tiles(tokens: int) -> MakeInputs:
    """Images of 48 x 24 pixels: one tile of the whole and two of its halves."""

    def make(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
        total = sum(counts)
        tensors = {
            "pixel_values": normal((total, 3, 3, 24, 24), generator),
            "image_sizes": torch.tensor([[48, 24]] * total),
        }
        return VisualInputs(tensors, (tokens,) * total)

    return make


def sized(height: int, width: int, tokens: int, run: int = 0) -> MakeInputs:
    """Images of one size that need not be square; ``run`` tokens between two row breaks."""

    def make(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
        total = sum(counts)
        tensors = {
            "pixel_values": normal((total, 3, height, width), generator),
            "image_sizes": torch.tensor([[height, width]] * total),
        }
        return VisualInputs(tensors, (tokens,) * total, run)

    return make


PINPOINTS = [[24, 48], [48, 24]]
LLAVA_NEXT = TinyFamily(
    lambda: configure(
        hf.LlavaNextConfig,
        vision_config=CLIP,
        text_config=text("llama"),
        image_token_index=IMAGE,
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=36,
    ),
    hf.LlavaNextForConditionalGeneration,
    tiles(36 + 12 * 7),
)
LLAVA_NEXT_VIDEO = TinyFamily(
    lambda: configure(
        hf.LlavaNextVideoConfig,
        vision_config=CLIP,
        text_config=text("llama"),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=36,
        spatial_pool_stride=2,
    ),
    hf.LlavaNextVideoForConditionalGeneration,
    tiles(36 + 12 * 7),
    frames(4, 24, 4 * 9),
)
LLAVA_ONEVISION = TinyFamily(
    lambda: configure(
        hf.LlavaOnevisionConfig,
        vision_config=SIGLIP,
        text_config=text("qwen2"),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
    ),
    hf.LlavaOnevisionForConditionalGeneration,
    tiles(36 + 12 * 7),
    frames(4, 24, 4 * 9 + 1),
)
MISTRAL3 = TinyFamily(
    lambda: configure(
        hf.Mistral3Config,
        vision_config=PIXTRAL,
        text_config=text("mistral", sliding_window=None),
        image_token_index=IMAGE,
        spatial_merge_size=2,
    ),
    hf.Mistral3ForConditionalGeneration,
    sized(32, 24, 12, run=3),
)
LIGHTON_OCR = TinyFamily(
    lambda: configure(
        hf.LightOnOcrConfig,
        vision_config=PIXTRAL,
        text_config=text("qwen3"),
        image_token_id=IMAGE,
        spatial_merge_size=2,
    ),
    hf.LightOnOcrForConditionalGeneration,
    sized(32, 24, 12),
)


def packed(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
    """Images of 8 x 6 patches of 4 pixels as rows of patches, with a mask and their shapes."""
    total = sum(counts)
    tensors: dict[str, Tensor] = {
        "pixel_values": normal((total, 48, 3 * 4 * 4), generator),
        "pixel_attention_mask": torch.ones(total, 48, dtype=torch.long),
        "spatial_shapes": torch.tensor([[8, 6]] * total),
    }
    return VisualInputs(tensors, (12,) * total)


LFM2_VL = TinyFamily(
    lambda: configure(
        hf.Lfm2VlConfig,
        vision_config={
            **SIGLIP,
            "model_type": "siglip2_vision_model",
            "num_patches": 64,
        },
        text_config=text(
            "lfm2", layer_types=["full_attention", "conv", "full_attention"], conv_L_cache=3
        ),
        image_token_id=IMAGE,
        projector_hidden_size=48,
    ),
    hf.Lfm2VlForConditionalGeneration,
    packed,
)
