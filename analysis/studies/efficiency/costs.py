"""What a forward pass costs by arithmetic: multiply-adds (MACs) per component, and counted ones.

One multiply-add is one MAC or two FLOPs; published pruning tables print MACs under the name of
FLOPs. Only matrix products and convolutions are counted, as in those tables and in torch's counter:
no norms, no activations, no embedding look-ups, no language head (it is not used).
"""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import SamMaskDecoderConfig, SamVisionConfig

from litelvlm.models.glamm.model import Glamm


def llama_macs(n: int, layers: int, width: int, inner: int, known: int = 0) -> int:
    """MACs of a LLaMA prefill over n tokens behind p known ones.

    They are L (4 n d^2 + 2 n (n + p) d + 3 n d m).

    Attention is counted in full, not only its causal half, as published figures and torch's counter
    do.

    Args:
        n: Visual and other tokens.
        layers: L.
        width: d.
        inner: m, width of the feed-forward part.
        known: p, tokens in front whose keys and values are there already.

    Source: LiteLVLM's project page; F(700) is its 4.66 T for 576 visual and 124 other tokens.

    Example:
        >>> f"{llama_macs(700, layers=32, width=4096, inner=11008):.3g}"
        '4.66e+12'
    """
    return layers * (4 * n * width**2 + 2 * n * (n + known) * width + 3 * n * width * inner)


def transformer_macs(n: int, layers: int, width: int, inner: int) -> int:
    """MACs of a plain transformer with a two-layer MLP: L (4 n d^2 + 2 n^2 d + 2 n d m)."""
    return layers * (4 * n * width**2 + 2 * n**2 * width + 2 * n * width * inner)


def model_macs(
    model: Glamm, layer_counts: tuple[int, ...], n_other: int, n_text: int, text_length: int
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
    n_tokens, kept = model.n_tokens, layer_counts[0]
    # transformers also allows a pair of sizes, and no projection; a GLaMM's tower has neither.
    patch_size, projection = cast(int, vision.patch_size), cast(int, text.projection_dim)
    patch = 3 * patch_size**2 * vision.hidden_size * n_tokens
    blocks = vision.num_hidden_layers - 1  # the last block is not run
    tower = patch + transformer_macs(
        n_tokens + 1, blocks, vision.hidden_size, vision.intermediate_size
    )
    sentence = transformer_macs(
        text_length, text.num_hidden_layers, text.hidden_size, text.intermediate_size
    )
    d, m = llama.hidden_size, llama.intermediate_size
    sam = model.sam.config
    encoder = cast(SamVisionConfig, sam.vision_config)
    decoder = cast(SamMaskDecoderConfig, sam.mask_decoder_config)
    side = cast(int, encoder.image_size) // cast(int, encoder.patch_size)
    one_mask = mask_decoder_macs(decoder, side**2) + d * (d + decoder.hidden_size)
    return {
        "clip_image": int(tower),
        "clip_text": int(n_text * (sentence + text.hidden_size * projection)),
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


def counted_macs(parts: Mapping[str, Callable[[], object]]) -> dict[str, int]:
    """Run each part once under torch's counter; returns half of its FLOPs (two per multiply-add).

    The counter knows matrix products and convolutions, and takes any other operation as free.
    Attention runs as plain matrix products here, since not every release of torch knows the fused
    kernels of every device.
    """
    found = {}
    for name, call in parts.items():
        with (
            FlopCounterMode(display=False) as counter,
            torch.inference_mode(),
            sdpa_kernel(SDPBackend.MATH),
        ):
            call()
        found[name] = counter.get_total_flops() // 2
    return found
