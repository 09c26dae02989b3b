"""Families that take grids (time, height, width) of patches; most have positions on three axes."""

from collections.abc import Sequence

import torch
import transformers as hf

from litelvlm.models.vlm.tiny.base import (
    IMAGE,
    VIDEO,
    MakeInputs,
    TinyFamily,
    VisualInputs,
    configure,
    normal,
)
from litelvlm.models.vlm.tiny.plain import text

MERGE = 2
"""Patches of a token along each side."""
PATCH = 3 * 2 * 4 * 4
"""Numbers in a patch: channels x frames x 4 x 4 pixels."""
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
QWEN_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 4,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "out_hidden_size": 32,
}
TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": 92,
    "vision_end_token_id": 93,
}


def grids(
    kind: str, grid: tuple[int, int, int], patch: int = PATCH, image: bool = True
) -> MakeInputs:
    """Images or videos of one grid, patches as rows.

    Args:
        kind: "image" or "video".
        grid: Patches in time, height and width.
        patch: Numbers in a patch.
        image: Whether the pixels go by the name of images.
    """
    frames, height, width = grid

    def make(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
        total = sum(counts)
        tensors = {
            "pixel_values" if image else "pixel_values_videos": normal(
                (total * frames * height * width, patch), generator
            ),
            f"{kind}_grid_thw": torch.tensor([list(grid)] * total),
        }
        return VisualInputs(tensors, (frames * height * width // MERGE**2,) * total)

    return make


IMAGES = grids("image", (1, 6, 8))
VIDEOS = grids("video", (3, 4, 6), image=False)


def separate_frames(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
    """Videos whose frames stand apart in the prompt, as time stamps do it."""
    made = VIDEOS(counts, generator)
    return VisualInputs(made.tensors, made.tokens, run=6)


def images_of_patches(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
    """Images whose patches are small pictures [patches, 3, 4, 4]."""
    made = grids("image", (1, 6, 8), patch=3 * 4 * 4)(counts, generator)
    pixels = made.tensors["pixel_values"].unflatten(1, (3, 4, 4))
    return VisualInputs({**made.tensors, "pixel_values": pixels}, made.tokens)


def with_three_axes(model_type: str, **changes: object) -> dict[str, object]:
    """A tiny language model with heads wide enough for three axes of positions."""
    sizes = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    return text(model_type, **sizes, **({"rope_parameters": MROPE} | changes))


QWEN2_VL = TinyFamily(
    lambda: configure(
        hf.Qwen2VLConfig,
        vision_config={**QWEN_VISION, "embed_dim": 32, "mlp_ratio": 2},
        text_config=with_three_axes("qwen2_vl_text"),
        **TOKENS,
    ),
    hf.Qwen2VLForConditionalGeneration,
    IMAGES,
    VIDEOS,
    "mm_token_type_ids",
)
QWEN2_5_VL = TinyFamily(
    lambda: configure(
        hf.Qwen2_5_VLConfig,
        vision_config={**QWEN_VISION, "window_size": 16, "fullatt_block_indexes": [1]},
        text_config=with_three_axes("qwen2_5_vl_text"),
        **TOKENS,
    ),
    hf.Qwen2_5_VLForConditionalGeneration,
    IMAGES,
    VIDEOS,
    "mm_token_type_ids",
)
QWEN3_VISION = {**QWEN_VISION, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
QWEN3_VL = TinyFamily(
    lambda: configure(
        hf.Qwen3VLConfig,
        vision_config=QWEN3_VISION,
        text_config=with_three_axes("qwen3_vl_text"),
        **TOKENS,
    ),
    hf.Qwen3VLForConditionalGeneration,
    IMAGES,
    separate_frames,
    "mm_token_type_ids",
)
MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "decoder_sparse_step": 1,
}
QWEN3_VL_MOE = TinyFamily(
    lambda: configure(
        hf.Qwen3VLMoeConfig,
        vision_config=QWEN3_VISION,
        text_config=with_three_axes("qwen3_vl_moe_text", **MOE),
        **TOKENS,
    ),
    hf.Qwen3VLMoeForConditionalGeneration,
    IMAGES,
    separate_frames,
    "mm_token_type_ids",
)
GLM_ROPE = {**MROPE, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5}
GLM_VISION = {**QWEN_VISION, "image_size": 32, "out_hidden_size": 32}
GLM4V = TinyFamily(
    lambda: configure(
        hf.Glm4vConfig,
        vision_config=GLM_VISION,
        text_config=with_three_axes("glm4v_text", rope_parameters=GLM_ROPE),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
    ),
    hf.Glm4vForConditionalGeneration,
    IMAGES,
    None,
    "mm_token_type_ids",
)
GLM46V = TinyFamily(
    lambda: configure(
        hf.Glm46VConfig,
        vision_config={**GLM_VISION, "model_type": "glm4v_vision"},
        text_config=with_three_axes("glm4v_text", rope_parameters=GLM_ROPE),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
    ),
    hf.Glm46VForConditionalGeneration,
    IMAGES,
    None,
    "mm_token_type_ids",
)
PADDLEOCR_VL = TinyFamily(
    lambda: configure(
        hf.PaddleOCRVLConfig,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 4,
            "spatial_merge_size": 2,
        },
        text_config=with_three_axes("paddleocr_vl_text"),
        **TOKENS,
    ),
    hf.PaddleOCRVLForConditionalGeneration,
    images_of_patches,
    None,
    "mm_token_type_ids",
)
QWEN3_5 = TinyFamily(
    lambda: configure(
        hf.Qwen3_5Config,
        vision_config={**QWEN_VISION, "num_position_embeddings": 64},
        text_config=with_three_axes(
            "qwen3_5_text",
            rope_parameters={**MROPE, "partial_rotary_factor": 1.0},
            layer_types=["linear_attention", "full_attention", "full_attention"],
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
        ),
        **TOKENS,
    ),
    hf.Qwen3_5ForConditionalGeneration,
    IMAGES,
    None,
    "mm_token_type_ids",
)


def merged(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
    """Grids of single frames, with the side of the squares that are merged."""
    made = grids("image", (1, 6, 8), patch=3 * 4 * 4)(counts, generator)
    sides = torch.full((sum(counts),), 2)
    return VisualInputs({**made.tensors, "image_merge_sizes": sides}, made.tokens)


def merged_videos(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
    """Grids of several frames, with the side of the squares that are merged."""
    made = grids("video", (3, 4, 6), patch=3 * 4 * 4, image=False)(counts, generator)
    sides = torch.full((sum(counts),), 2)
    return VisualInputs({**made.tensors, "video_merge_sizes": sides}, made.tokens)


VIDEO_LLAMA_3 = TinyFamily(
    lambda: configure(
        hf.VideoLlama3Config,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "patch_size": 4,
        },
        text_config=text("qwen2"),
        image_token_id=IMAGE,
        video_token_id=VIDEO,
    ),
    hf.VideoLlama3ForConditionalGeneration,
    merged,
    merged_videos,
)
