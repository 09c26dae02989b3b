"""Families whose visual tokens are one square grid per image or tile."""

from collections.abc import Sequence

import torch
import transformers as hf

from litelvlm.models.vlm.tiny.base import (
    IMAGE,
    TEXT,
    VIDEO,
    MakeInputs,
    TinyFamily,
    VisualInputs,
    configure,
    normal,
)

CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 24,
    "patch_size": 4,
    "projection_dim": 32,
}
SIGLIP = {**CLIP, "model_type": "siglip_vision_model", "vision_use_head": False}


def squares(side: int, tokens: int) -> MakeInputs:
    """Square images [images, 3, side, side], each of ``tokens`` placeholders."""

    def make(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
        total = sum(counts)
        pixels = normal((total, 3, side, side), generator)
        return VisualInputs({"pixel_values": pixels}, (tokens,) * total)

    return make


def in_rows(side: int, tokens: int) -> MakeInputs:
    """Square images [rows, images, 3, side, side]; every row has the same number of images."""

    def make(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
        shape = (len(counts), max(counts), 3, side, side)
        return VisualInputs({"pixel_values": normal(shape, generator)}, (tokens,) * sum(counts))

    return make


def text(model_type: str, **changes: object) -> dict[str, object]:
    """A tiny language model of one type."""
    return {**TEXT, "model_type": model_type, **changes}


LLAVA = TinyFamily(
    lambda: configure(
        hf.LlavaConfig,
        vision_config=CLIP,
        text_config=text("llama"),
        image_token_index=IMAGE,
        image_seq_length=36,
    ),
    hf.LlavaForConditionalGeneration,
    squares(24, 36),
)
VIPLLAVA = TinyFamily(
    lambda: configure(
        hf.VipLlavaConfig,
        vision_config=CLIP,
        text_config=text("llama"),
        image_token_index=IMAGE,
        vision_feature_layers=[-1, -2],
    ),
    hf.VipLlavaForConditionalGeneration,
    squares(24, 36),
)
INTERNVL = TinyFamily(
    lambda: configure(
        hf.InternVLConfig,
        vision_config={
            **CLIP,
            "model_type": "internvl_vision",
            "image_size": [32, 32],
            "patch_size": [4, 4],
            "layer_scale_init_value": 1.0,
        },
        text_config=text("qwen2"),
        image_token_id=IMAGE,
        image_seq_length=16,
    ),
    hf.InternVLForConditionalGeneration,
    squares(32, 16),
)
AYA_VISION = TinyFamily(
    lambda: configure(
        hf.AyaVisionConfig,
        vision_config={**SIGLIP, "image_size": 32},
        text_config=text("cohere2"),
        image_token_index=IMAGE,
    ),
    hf.AyaVisionForConditionalGeneration,
    squares(32, 16),
)
COHERE2_VISION = TinyFamily(
    lambda: configure(
        hf.Cohere2VisionConfig,
        vision_config={**SIGLIP, "image_size": 32},
        text_config=text("cohere2"),
        image_token_id=IMAGE,
        alignment_intermediate_size=64,
    ),
    hf.Cohere2VisionForConditionalGeneration,
    squares(32, 16),
)
DEEPSEEK_VL = TinyFamily(
    lambda: configure(
        hf.DeepseekVLConfig,
        vision_config={**SIGLIP},
        text_config=text("llama"),
        image_token_id=IMAGE,
    ),
    hf.DeepseekVLForConditionalGeneration,
    squares(24, 36),
)
JANUS = TinyFamily(
    lambda: configure(
        hf.JanusConfig,
        vision_config={
            **SIGLIP,
            "model_type": "janus_vision_model",
            "projection_dim": 32,
            "num_image_tokens": 36,
            "mlp_ratio": 1.5,
        },
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
        text_config=text("llama"),
        image_token_id=IMAGE,
    ),
    hf.JanusForConditionalGeneration,
    squares(24, 36),
)
OVIS2 = TinyFamily(
    lambda: configure(
        hf.Ovis2Config,
        vision_config={
            **CLIP,
            "model_type": "",
            "vocab_size": 40,
            "num_visual_indicator_tokens": 3,
        },
        text_config=text("qwen2"),
        image_token_id=IMAGE,
        visual_indicator_token_ids=[92, 93, 94],
        hidden_size=32,
        vocab_size=100,
    ),
    hf.Ovis2ForConditionalGeneration,
    squares(24, 36),
)
GOT_OCR2 = TinyFamily(
    lambda: configure(
        hf.GotOcr2Config,
        vision_config={
            "hidden_size": 32,
            "output_channels": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 64,
            "patch_size": 4,
            "mlp_dim": 48,
            "window_size": 4,
            "global_attn_indexes": [1],
        },
        text_config=text("qwen2"),
        image_token_index=IMAGE,
        image_seq_length=16,
    ),
    hf.GotOcr2ForConditionalGeneration,
    squares(64, 16),
)
IDEFICS3 = TinyFamily(
    lambda: configure(
        hf.Idefics3Config,
        vision_config={**SIGLIP, "model_type": "idefics3_vision", "image_size": 32},
        text_config=text("llama"),
        image_token_id=IMAGE,
        scale_factor=2,
        pad_token_id=0,
    ),
    hf.Idefics3ForConditionalGeneration,
    in_rows(32, 16),
)
SMOLVLM = TinyFamily(
    lambda: configure(
        hf.SmolVLMConfig,
        vision_config={**SIGLIP, "model_type": "smolvlm_vision", "image_size": 32},
        text_config=text("llama"),
        image_token_id=IMAGE,
        scale_factor=2,
        pad_token_id=0,
    ),
    hf.SmolVLMForConditionalGeneration,
    in_rows(32, 16),
)
IDEFICS2 = TinyFamily(
    lambda: configure(
        hf.Idefics2Config,
        vision_config={**SIGLIP, "model_type": "idefics2_vision", "image_size": 24},
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_latents": 16,
            "resampler_depth": 1,
            "resampler_n_heads": 4,
            "num_key_value_heads": 2,
            "resampler_head_dim": 8,
        },
        text_config=text("mistral", sliding_window=None),
        image_token_id=IMAGE,
    ),
    hf.Idefics2ForConditionalGeneration,
    in_rows(24, 16),
)
GEMMA3 = TinyFamily(
    lambda: configure(
        hf.Gemma3Config,
        vision_config={**SIGLIP, "image_size": 32},
        text_config=text(
            "gemma3_text",
            # Two layers with a window wider than the prompt, one without.
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            sliding_window=512,
            query_pre_attn_scalar=8,
        ),
        mm_tokens_per_image=16,
        image_token_index=IMAGE,
    ),
    hf.Gemma3ForConditionalGeneration,
    squares(32, 16),
    type_ids="token_type_ids",
)
PALIGEMMA = TinyFamily(
    lambda: configure(
        hf.PaliGemmaConfig,
        vision_config={**SIGLIP, "projection_dim": 32},
        text_config=text("gemma"),
        image_token_index=IMAGE,
        projection_dim=32,
    ),
    hf.PaliGemmaForConditionalGeneration,
    squares(24, 36),
    type_ids="token_type_ids",
    types=(0, 1),
)
LLAMA4 = TinyFamily(
    lambda: configure(
        hf.Llama4Config,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 4,
            "vision_output_dim": 32,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
            "pixel_shuffle_ratio": 0.5,
        },
        text_config=text(
            "llama4_text",
            intermediate_size_mlp=48,
            num_local_experts=2,
            attention_chunk_size=512,
            no_rope_layer_interval=4,
        ),
        image_token_index=IMAGE,
    ),
    hf.Llama4ForConditionalGeneration,
    squares(32, 16),
)


def frames(count: int, side: int, tokens: int) -> MakeInputs:
    """Videos [videos, frames, 3, side, side]; ``tokens`` placeholders each."""

    def make(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
        total = sum(counts)
        pixels = normal((total, count, 3, side, side), generator)
        return VisualInputs({"pixel_values_videos": pixels}, (tokens,) * total)

    return make


def video_llava_images(counts: Sequence[int], generator: torch.Generator) -> VisualInputs:
    """Square images under the family's own argument name."""
    made = squares(24, 37)(counts, generator)
    return VisualInputs({"pixel_values_images": made.tensors["pixel_values"]}, made.tokens)


VIDEO_LLAVA = TinyFamily(
    lambda: configure(
        hf.VideoLlavaConfig,
        vision_config=CLIP,
        text_config=text("llama"),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        vision_feature_select_strategy="full",
    ),
    hf.VideoLlavaForConditionalGeneration,
    video_llava_images,
    frames(8, 24, 8 * 37),
)
