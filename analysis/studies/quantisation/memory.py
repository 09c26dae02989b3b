"""Bytes of a model by component: weights, and keys and values of its visual tokens."""

from collections.abc import Mapping

from torch import nn

from litelvlm.models.glamm.model import Glamm
from litelvlm.models.glamm.quantise import weight_bytes

KEYS_AND_VALUES = "visual_kv"
"""The component that pruning shrinks: what the visual tokens leave in the language model's cache.

Keys and values of the text, activations and the kernels' own space are not counted."""


def component_bytes(model: Glamm) -> dict[str, int]:
    """Bytes of the weights of each part, and of keys and values of all visual tokens.

    One image, batch 1. ``KEYS_AND_VALUES`` holds 2 L h d N numbers: L layers, h heads of keys, d
    numbers each, N visual tokens. GLaMM has as many for every image.
    """
    parts: Mapping[str, nn.Module] = {
        "language_model": model.llama.model,
        "language_head": model.llama.lm_head,
        "projector": model.projector,
        "seg_head": model.seg_head,
        "clip": model.tower,
        "sam": model.sam,
    }
    llama = model.llama.config
    heads = llama.num_key_value_heads or llama.num_attention_heads
    width = llama.head_dim or llama.hidden_size // llama.num_attention_heads
    of_token = 2 * llama.num_hidden_layers * heads * width * model.dtype.itemsize
    return {
        **{name: weight_bytes(part) for name, part in parts.items()},
        KEYS_AND_VALUES: of_token * model.n_tokens,
    }
