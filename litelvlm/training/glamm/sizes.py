"""Sizes of the miniature: the full model's parts, each small enough to train on two cores."""

import torch
from torch import nn
from transformers import (
    CLIPConfig,
    LlamaForCausalLM,
    SamConfig,
    SamMaskDecoderConfig,
    SamModel,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from litelvlm.embedded.clip_sizes import TEXT_SIZES, VISION_SIZES
from litelvlm.models.glamm.build import new_parts
from litelvlm.models.glamm.checkpoints.config import GlammConfig
from litelvlm.training.clip_parts import sines, small_clip_config

CLIP_SIZE, PATCH = VISION_SIZES["image_size"], VISION_SIZES["patch_size"]
GRID, VISION_WIDTH = CLIP_SIZE // PATCH, VISION_SIZES["hidden_size"]
SAM_SIZE, SAM_PATCH = 192, 8
MASK_WIDTH = 96  # width of SAM's prompts and decoder


def clip_config(vocab_size: int) -> CLIPConfig:
    """Two small CLIP towers; the last two vocabulary entries are [SOS] and [EOS]."""
    return small_clip_config(VISION_SIZES, TEXT_SIZES, vocab_size, 128)


def sam_config() -> SamConfig:
    """A SAM with 8-pixel patches (24 x 24 image embedding, 96 x 96 masks)."""
    vision = SamVisionConfig(
        hidden_size=96,
        output_channels=MASK_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=SAM_SIZE,
        patch_size=SAM_PATCH,
        window_size=6,
        global_attn_indexes=[2],
        num_pos_feats=MASK_WIDTH // 2,
        mlp_dim=288,
        initializer_range=0.02,
    )
    prompt = SamPromptEncoderConfig(
        hidden_size=MASK_WIDTH, image_size=SAM_SIZE, patch_size=SAM_PATCH, mask_input_channels=8
    )
    decoder = SamMaskDecoderConfig(
        hidden_size=MASK_WIDTH,
        mlp_dim=256,
        num_attention_heads=4,
        iou_head_hidden_dim=64,
        # GLaMM's two-way blocks use torch's default, not the library's 1e-6.
        layer_norm_eps=1e-5,
    )
    return SamConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=prompt.to_dict(),
        mask_decoder_config=decoder.to_dict(),
    )


def new_sam() -> SamModel:
    """An untrained SAM; its Fourier matrix has unit scale and stays as drawn."""
    sam: SamModel = SamModel._from_config(sam_config(), attn_implementation="eager")
    with torch.no_grad():
        matrix = torch.randn_like(sam.shared_image_embedding.positional_embedding)
        sam.shared_image_embedding.positional_embedding.copy_(matrix)
        sam.prompt_encoder.shared_embedding.positional_embedding.copy_(matrix)
        places = sam.vision_encoder.get_parameter("pos_embed")  # [1, side, side, width]
        places.copy_(0.5 * sines(SAM_SIZE // SAM_PATCH, places.shape[-1]).reshape(places.shape))
    sam.shared_image_embedding.positional_embedding.requires_grad_(False)
    sam.prompt_encoder.shared_embedding.positional_embedding.requires_grad_(False)
    return sam


def glamm_config(vocab_size: int) -> GlammConfig:
    """The fields of ``config.json`` for everything but CLIP, which lies in "clip" beside it."""
    return {
        "model_type": "llava",
        "architectures": ["GLaMMForCausalLM"],
        "vocab_size": vocab_size,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 1536,
        "mm_hidden_size": VISION_WIDTH,
        "mm_vision_tower": "clip",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": True,
        "out_dim": MASK_WIDTH,
        "sam": sam_config().to_dict(),
    }


def new_language_side(vocab_size: int) -> dict[str, nn.Module]:
    """An untrained language model, projector and seg head.

    The library's spread is meant for widths of thousands; matrices are drawn at width ** -0.5 here
    instead.
    """
    parts = new_parts(glamm_config(vocab_size), "sdpa")
    llama = parts["llama"]
    assert isinstance(llama, LlamaForCausalLM)  # noqa: S101 - for the type checker
    nn.init.normal_(llama.model.embed_tokens.weight, std=0.3)
    for layer in llama.model.layers:
        for matrix in layer.parameters():
            if matrix.ndim == 2:
                nn.init.normal_(matrix, std=matrix.shape[1] ** -0.5)
    return {name: parts[name] for name in ("llama", "projector", "seg_head")}
