"""Multiply-adds of a GLaMM by component; the language head is not used and not counted."""

from typing import cast

from transformers import SamMaskDecoderConfig, SamVisionConfig

from litelvlm.models.costs import clip_image_macs, clip_text_macs, llama_macs
from litelvlm.models.glamm.network import GlammNetwork


def model_macs(
    model: GlammNetwork, layer_counts: tuple[int, ...], n_other: int, n_text: int, text_length: int
) -> dict[str, int]:
    """MACs by component for one image and one pass.

    Args:
        model: Whose sizes count.
        layer_counts: Visual tokens of each layer of the language model.
        n_other: Other tokens of the prompt.
        n_text: Expressions, one mask each.
        text_length: Tokens of the padded sentences that CLIP reads.

    Returns:
        By component. "selection" is missing: its operations depend on the method and are counted
        only.
    """
    llama, vision, text = model.llama.config, model.tower.vision_config, model.tower.text_config
    kept = layer_counts[0]
    d, m = llama.hidden_size, llama.intermediate_size
    sam = model.sam.config
    encoder = cast(SamVisionConfig, sam.vision_config)
    decoder = cast(SamMaskDecoderConfig, sam.mask_decoder_config)
    side = cast(int, encoder.image_size) // cast(int, encoder.patch_size)
    one_mask = mask_decoder_macs(decoder, side**2) + d * (d + decoder.hidden_size)
    return {
        "clip_image": clip_image_macs(vision, model.n_tokens),
        "clip_text": n_text * clip_text_macs(text, text_length),
        "projector": int(kept * (vision.hidden_size * d + d * d)),
        "llm": sum(llama_macs(count + n_other, 1, d, m) for count in layer_counts),
        "sam_encoder": sam_encoder_macs(encoder, side),
        # From the states before [SEG] to low-resolution masks; positions count once.
        "mask_decoder": int(side**2 * 2 * encoder.num_pos_feats + n_text * one_mask),
    }


def sam_encoder_macs(config: SamVisionConfig, side: int) -> int:
    """MACs of SAM's image encoder: blocks with decomposed relative positions, and the neck."""
    d, m = config.hidden_size, cast(int, config.mlp_dim)
    total = 3 * cast(int, config.patch_size) ** 2 * d * side**2
    for index in range(config.num_hidden_layers):
        window = side if index in config.global_attn_indexes else config.window_size
        windows = -(-side // window)  # the last window is padded
        n = (windows * window) ** 2
        pairs = windows**2 * window**4
        # Each query meets `window` row and `window` column positions.
        total += 4 * n * d**2 + 2 * pairs * d + 2 * n * window * d + 2 * side**2 * d * m
    c = config.output_channels
    return int(total + side**2 * (d * c + 9 * c**2))


def mask_decoder_macs(decoder: SamMaskDecoderConfig, n: int) -> int:
    """MACs of SAM's mask decoder for one prompt of one token on n image tokens."""
    c, t = decoder.hidden_size, 2 + decoder.num_multimask_outputs + 1
    inner = c // decoder.attention_downsample_rate
    cross = 2 * t * c * inner + 2 * n * c * inner + 2 * t * n * inner
    block = 4 * t * c**2 + 2 * t**2 * c + 2 * cross + 2 * t * c * decoder.mlp_dim
    upscaling = n * c * c + 4 * n * (c // 4) * (c // 2)
    masks = decoder.num_multimask_outputs + 1
    heads = masks * (2 * c**2 + c * c // 8) + masks * (c // 8) * 16 * n
    depth, hidden = decoder.iou_head_depth, decoder.iou_head_hidden_dim
    quality = c * hidden + (depth - 2) * hidden**2 + hidden * masks
    return int(decoder.num_hidden_layers * block + cross + upscaling + heads + quality)
