"""How to build the tiny model of each family: one table of configurations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import transformers
from transformers import PreTrainedModel

from tests.tiny_vlms.inputs import MakeInputs, frames, grids, in_rows, pixels, squares

PAD, IMAGE, VIDEO = 0, 90, 91
"""Token ids: padding, the placeholder of an image, that of a video. Words are 3 to 89."""
WIDTHS = {"hidden_size": 32, "intermediate_size": 48}
SIZES = {**WIDTHS, "num_hidden_layers": 3, "num_attention_heads": 4}
SPECIAL = {"pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False}
HEADS = {"num_key_value_heads": 2, "head_dim": 8}
TEXT = {**SIZES, **HEADS, **SPECIAL, "vocab_size": 100, "max_position_embeddings": 512}
"""Sizes of every tiny language model."""
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
WIDE_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
AXES = {**WIDE_HEADS, "rope_parameters": MROPE}
"""Heads wide enough for three axes of positions."""
GLM_ROPE = {**MROPE, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5}
GLM_AXES = {**WIDE_HEADS, "rope_parameters": GLM_ROPE}

TWO = {**SIZES, "num_hidden_layers": 2}
PATCHES = {"image_size": 24, "patch_size": 4}
CLIP = {**SIZES, **PATCHES, "model_type": "clip_vision_model", "projection_dim": 32}
SIGLIP = {**CLIP, "model_type": "siglip_vision_model", "vision_use_head": False}
SIDE_32 = {"image_size": 32, "patch_size": 4}
SIGLIP_32 = {**SIGLIP, **SIDE_32}
PIXTRAL = {**TWO, **SIDE_32, "model_type": "pixtral", "head_dim": 8}
INTERNVL = {**CLIP, "model_type": "internvl_vision", "layer_scale_init_value": 1.0}
JANUS = {**SIGLIP, "model_type": "janus_vision_model", "num_image_tokens": 36, "mlp_ratio": 1.5}
OVIS = {**CLIP, "model_type": "", "vocab_size": 40, "num_visual_indicator_tokens": 3}
GOT_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_dim": 48}
GOT = {**GOT_SIZES, "image_size": 64, "patch_size": 4, "output_channels": 16, "window_size": 4}
PROJECTED = {"vision_output_dim": 48, "projector_input_dim": 48, "projector_output_dim": 48}
LLAMA_4 = {**TWO, **SIDE_32, **PROJECTED, "intermediate_size": 128, "pixel_shuffle_ratio": 0.5}
MERGED = {"patch_size": 4, "spatial_merge_size": 2}
QWEN_SIZES = {**WIDTHS, "depth": 2, "num_heads": 4, "out_hidden_size": 32}
QWEN_VISION = {**QWEN_SIZES, **MERGED, "temporal_patch_size": 2}
PLACED = {**QWEN_VISION, "num_position_embeddings": 64}
DEEPSTACK = {**PLACED, "deepstack_visual_indexes": [0, 1]}
GLM_VISION = {**QWEN_VISION, "image_size": 32}

PINPOINTS = [[24, 48], [48, 24]]
VISION_ENDS = {"vision_start_token_id": 92, "vision_end_token_id": 93}
IMAGES = grids("image", 1, 6, 8)
VIDEOS = grids("video", 3, 4, 6)
STAMPED_VIDEOS = grids("video", 3, 4, 6, run=6)
"""Videos whose frames stand apart in the prompt, as time stamps do it."""
TILES = pixels(3, 3, 24, 24, tokens=36 + 12 * 7, image_sizes=[48, 24])
"""Images of 48 x 24 pixels: one tile of the whole and two of its halves."""
SMALL, LARGE, ROWS = squares(24, 36), squares(32, 16), in_rows(32, 16)
GRID_TYPES = "mm_token_type_ids"


@dataclass(frozen=True)
class TinyFamily:
    """How to build a tiny model of a family.

    Attributes:
        stem: Of its classes in transformers: "Llava" for ``LlavaConfig``.
        vision: Configuration of its image tower.
        language: Type of its language model.
        images: Random images.
        videos: Random videos; None for families without.
        text: Sizes of the language model that differ from ``TEXT``.
        more: Other fields of its configuration.
        type_ids: Name of the argument that marks visual tokens among text; empty for none.
        video_token: Placeholder of a video.
        types: Values of that argument for an image and for an answer; text before it has 0, and a
            video one more than an image.
    """

    stem: str
    vision: Mapping[str, object]
    language: str
    images: MakeInputs
    videos: MakeInputs | None = None
    text: Mapping[str, object] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)
    type_ids: str = ""
    types: tuple[int, int] = (1, 0)
    video_token: int = VIDEO

    def build(self) -> PreTrainedModel:
        """The model as transformers initialises it."""
        text = {**TEXT, "model_type": self.language, **self.text}
        parts = {"vision_config": dict(self.vision), "text_config": text}
        tokens = {"image_token_id": IMAGE, "video_token_id": VIDEO}
        config = getattr(transformers, f"{self.stem}Config")
        make = getattr(transformers, f"{self.stem}ForConditionalGeneration")
        model: PreTrainedModel = make(config.from_dict({**parts, **tokens, **self.more}))
        return model


def tiny(
    stem: str,
    vision: Mapping[str, object],
    language: str,
    images: MakeInputs,
    videos: MakeInputs | None = None,
    **more: object,
) -> TinyFamily:
    """A family with the usual language model; ``more`` are other fields of its configuration."""
    return TinyFamily(stem, vision, language, images, videos, more=more)


def on_axes(
    stem: str,
    language: str,
    vision: Mapping[str, object],
    videos: MakeInputs | None = None,
    images: MakeInputs = IMAGES,
    **text: object,
) -> TinyFamily:
    """A family with three axes of positions, and sizes of its language model beyond the heads."""
    sizes = {**AXES, **text}
    return TinyFamily(stem, vision, language, images, videos, sizes, VISION_ENDS, GRID_TYPES)


def glm(stem: str, vision: Mapping[str, object]) -> TinyFamily:
    """A GLM with the language model of GLM-4.1V."""
    return TinyFamily(
        stem, vision, "glm4v_text", IMAGES, STAMPED_VIDEOS, GLM_AXES, {}, GRID_TYPES, (1, 0), IMAGE
    )


FAMILIES = {
    "llava": tiny("Llava", CLIP, "llama", SMALL, image_seq_length=36),
    "vipllava": tiny("VipLlava", CLIP, "llama", SMALL, vision_feature_layers=[-1, -2]),
    "llava_next": tiny(
        "LlavaNext", CLIP, "llama", TILES, image_grid_pinpoints=PINPOINTS, image_seq_length=36
    ),
    "llava_next_video": tiny(
        "LlavaNextVideo",
        CLIP,
        "llama",
        TILES,
        frames(4, 24, 4 * 9),
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=36,
        spatial_pool_stride=2,
    ),
    "llava_onevision": tiny(
        "LlavaOnevision",
        SIGLIP,
        "qwen2",
        TILES,
        frames(4, 24, 4 * 9 + 1),
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
    ),
    "video_llava": tiny(
        "VideoLlava",
        CLIP,
        "llama",
        squares(24, 37, name="pixel_values_images"),
        frames(8, 24, 8 * 37),
        vision_feature_select_strategy="full",
    ),
    "internvl": tiny(
        "InternVL",
        {**INTERNVL, "image_size": [32, 32], "patch_size": [4, 4]},
        "qwen2",
        LARGE,
        image_seq_length=16,
    ),
    "qwen2_vl": on_axes(
        "Qwen2VL", "qwen2_vl_text", {**QWEN_VISION, "embed_dim": 32, "mlp_ratio": 2}, VIDEOS
    ),
    "qwen2_5_vl": on_axes(
        "Qwen2_5_VL",
        "qwen2_5_vl_text",
        {**QWEN_VISION, "window_size": 16, "fullatt_block_indexes": [1]},
        VIDEOS,
    ),
    "qwen3_vl": on_axes("Qwen3VL", "qwen3_vl_text", DEEPSTACK, STAMPED_VIDEOS),
    "qwen3_vl_moe": on_axes(
        "Qwen3VLMoe",
        "qwen3_vl_moe_text",
        DEEPSTACK,
        STAMPED_VIDEOS,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        decoder_sparse_step=1,
    ),
    "qwen3_5": on_axes(
        "Qwen3_5",
        "qwen3_5_text",
        PLACED,
        STAMPED_VIDEOS,
        rope_parameters={**MROPE, "partial_rotary_factor": 1.0},
        layer_types=["linear_attention", "full_attention", "full_attention"],
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
    ),
    "glm4v": glm("Glm4v", GLM_VISION),
    "glm46v": glm("Glm46V", {**GLM_VISION, "model_type": "glm4v_vision"}),
    "paddleocr_vl": on_axes(
        "PaddleOCRVL",
        "paddleocr_vl_text",
        {**TWO, **MERGED, "image_size": 32},
        images=grids("image", 1, 6, 8, patch=(3, 4, 4)),
    ),
    "video_llama_3": tiny(
        "VideoLlama3",
        {**TWO, "patch_size": 4},
        "qwen2",
        grids("image", 1, 6, 8, patch=(3 * 4 * 4,), sides=True),
        grids("video", 3, 4, 6, patch=(3 * 4 * 4,), sides=True, mask=True),
    ),
    "idefics2": TinyFamily(
        "Idefics2",
        {**SIGLIP, "model_type": "idefics2_vision"},
        "mistral",
        in_rows(24, 16),
        text={"sliding_window": None},
        more={
            "perceiver_config": {
                "hidden_size": 32,
                "resampler_n_latents": 16,
                "resampler_depth": 1,
                "resampler_n_heads": 4,
                "num_key_value_heads": 2,
                "resampler_head_dim": 8,
            },
        },
    ),
    **{
        name: tiny(
            stem,
            {**SIGLIP_32, "model_type": f"{name}_vision"},
            "llama",
            ROWS,
            scale_factor=2,
            pad_token_id=0,
        )
        for name, stem in (("idefics3", "Idefics3"), ("smolvlm", "SmolVLM"))
    },
    "mistral3": TinyFamily(
        "Mistral3",
        PIXTRAL,
        "mistral",
        pixels(3, 32, 24, tokens=12, run=3, image_sizes=[32, 24]),
        text={"sliding_window": None},
        more={"spatial_merge_size": 2},
    ),
    "lighton_ocr": tiny(
        "LightOnOcr",
        PIXTRAL,
        "qwen3",
        pixels(3, 32, 24, tokens=12, image_sizes=[32, 24]),
        spatial_merge_size=2,
    ),
    "gemma3": TinyFamily(
        "Gemma3",
        SIGLIP_32,
        "gemma3_text",
        LARGE,
        text={
            # Two layers with a window wider than the prompt, one without.
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "sliding_window": 512,
            "query_pre_attn_scalar": 8,
        },
        more={"mm_tokens_per_image": 16},
        type_ids="token_type_ids",
    ),
    "paligemma": TinyFamily(
        "PaliGemma",
        SIGLIP,
        "gemma",
        SMALL,
        more={"projection_dim": 32},
        type_ids="token_type_ids",
        types=(0, 1),
    ),
    "aya_vision": tiny("AyaVision", SIGLIP_32, "cohere2", LARGE),
    "cohere2_vision": tiny(
        "Cohere2Vision", SIGLIP_32, "cohere2", LARGE, alignment_intermediate_size=64
    ),
    "deepseek_vl": tiny("DeepseekVL", SIGLIP, "llama", SMALL),
    "janus": tiny(
        "Janus",
        JANUS,
        "llama",
        SMALL,
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 16,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1],
            "num_res_blocks": 1,
            "projection_dim": 32,
            "image_token_embed_dim": 8,
        },
    ),
    "ovis2": tiny(
        "Ovis2",
        OVIS,
        "qwen2",
        SMALL,
        visual_indicator_token_ids=[92, 93, 94],
        hidden_size=32,
        vocab_size=100,
    ),
    "got_ocr2": tiny(
        "GotOcr2",
        {**GOT, "global_attn_indexes": [1]},
        "qwen2",
        squares(64, 16),
        image_seq_length=16,
    ),
    "llama4": TinyFamily(
        "Llama4",
        LLAMA_4,
        "llama4_text",
        LARGE,
        text={
            "intermediate_size_mlp": 48,
            "num_local_experts": 2,
            "attention_chunk_size": 512,
            "no_rope_layer_interval": 4,
        },
    ),
    "lfm2_vl": TinyFamily(
        "Lfm2Vl",
        {**SIGLIP, "model_type": "siglip2_vision_model", "num_patches": 64},
        "lfm2",
        # 8 x 6 patches of 4 pixels as rows.
        pixels(48, 48, tokens=12, pixel_attention_mask=[1] * 48, spatial_shapes=[8, 6]),
        text={"layer_types": ["full_attention", "conv", "full_attention"], "conv_L_cache": 3},
        more={"projector_hidden_size": 48},
    ),
}
TINY: Mapping[str, TinyFamily] = MappingProxyType(FAMILIES)
