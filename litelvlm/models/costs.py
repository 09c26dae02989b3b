"""What a forward pass costs by arithmetic: multiply-adds (MACs) of transformers.

One multiply-add is one MAC or two FLOPs; published pruning tables print MACs under the name of
FLOPs. Only matrix products and convolutions are counted, as in those tables and in torch's counter:
no norms, no activations, no embedding look-ups, no language head.
"""

from collections.abc import Iterable
from typing import cast

from transformers import CLIPTextConfig, CLIPVisionConfig, PreTrainedConfig


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


def decoder_macs(n: int, width: int, inner: int, queries: int, keys: int) -> int:
    """MACs of one layer of a decoder whose query heads share key heads, over n tokens.

    They are ``2 n d (q + k) + 2 n^2 q + 3 n d m``; with q = k = d those of ``llama_macs``.

    Args:
        n: Visual and other tokens.
        width: d.
        inner: m, width of the feed-forward part.
        queries: q, width of all query heads.
        keys: k, width of all key heads, which is also that of all values.

    Example:
        >>> decoder_macs(700, 4096, 11008, 4096, 4096) == llama_macs(700, 1, 4096, 11008)
        True
    """
    return 2 * n * width * (queries + keys) + 2 * n * n * queries + 3 * n * width * inner


def head_widths(config: PreTrainedConfig) -> tuple[int, int]:
    """Widths of all query heads and of all key heads of a language model."""
    heads = int(config.num_attention_heads)
    each = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    return heads * each, int(getattr(config, "num_key_value_heads", None) or heads) * each


def language_macs(config: PreTrainedConfig, counts: Iterable[int]) -> int:
    """MACs of a language model's prefill.

    Args:
        config: Of the language model.
        counts: Visual and other tokens of each layer.
    """
    width, inner, widths = config.hidden_size, config.intermediate_size, head_widths(config)
    return sum(decoder_macs(count, width, inner, *widths) for count in counts)


def clip_image_macs(config: CLIPVisionConfig, n_tokens: int) -> int:
    """MACs of CLIP's image tower on one picture of so many patches; its last block is not run."""
    width, side = config.hidden_size, cast(int, config.patch_size)
    patches = 3 * side**2 * width * n_tokens
    blocks = config.num_hidden_layers - 1
    return patches + transformer_macs(n_tokens + 1, blocks, width, config.intermediate_size)


def clip_text_macs(config: CLIPTextConfig, length: int) -> int:
    """MACs of CLIP's text tower on one sentence of so many tokens, its projection included."""
    width = config.hidden_size
    blocks = transformer_macs(length, config.num_hidden_layers, width, config.intermediate_size)
    return blocks + width * cast(int, config.projection_dim)
