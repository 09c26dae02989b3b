"""LLaMA's decoder, driven layer by layer: explicit positions, and a place where tokens can be dropped in between."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Real
from torch import Tensor
from transformers import Cache, LlamaForCausalLM

# Called before layer i with (i, hidden states, positions); returns what goes on: the same two
# tensors, or new ones with fewer tokens.
BeforeLayer = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
# Additive mask of layer i.
LayerMask = Callable[[int], Tensor]


def causal_mask(length: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "1 1 s s"]:
    """Additive mask: 0 where a position may look, the most negative number where it may not."""
    full = torch.full((length, length), torch.finfo(dtype).min, dtype=dtype, device=device)
    return full.triu(1)[None, None]


def decode(
    llama: LlamaForCausalLM,
    inputs_embeds: Float[Tensor, "b s d"],
    position_ids: Real[Tensor, "b s"],
    attention_mask: Tensor | LayerMask | None = None,
    before_layer: BeforeLayer | None = None,
    cache: Cache | None = None,
) -> Float[Tensor, "b s2 d"]:
    """Run the decoder and return the states after the final norm.

    Rows of a batch are padded on the right; under a causal mask padding cannot reach a real token,
    so no padding mask is needed.

    Args:
        llama: The language model; its head is not used.
        inputs_embeds: Spliced embeddings.
        position_ids: Rotary position of every token, whole or real; gaps and repeats are legal.
        attention_mask: Additive [b or 1, 1, s, s] mask that replaces the causal one, or one for
            each layer.
        before_layer: May drop tokens before a layer; only without an explicit mask.
        cache: Keys and values of earlier tokens, to which these are added; it must be empty, or
            this be one token.

    Raises:
        ValueError: If both ``attention_mask`` and ``before_layer`` are given.
    """
    if attention_mask is not None and before_layer is not None:
        raise ValueError(
            "tokens cannot be dropped between layers under an explicit attention mask; give one of them"
        )
    model = llama.model
    hidden_states = inputs_embeds
    rotary = model.rotary_emb(hidden_states, position_ids=position_ids)
    # sdpa and flash kernels make their own causal mask; the eager one needs it spelled out.
    spelled_out = model.config._attn_implementation == "eager"
    for index, layer in enumerate(model.layers):
        if before_layer is not None:
            hidden_states, moved = before_layer(index, hidden_states, position_ids)
            if moved is not position_ids:
                position_ids, rotary = moved, model.rotary_emb(hidden_states, position_ids=moved)
        mask = attention_mask(index) if callable(attention_mask) else attention_mask
        if mask is None and spelled_out:
            mask = causal_mask(hidden_states.shape[1], hidden_states.dtype, hidden_states.device)
        out = layer(
            hidden_states,
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=cache,
            position_embeddings=rotary,
        )
        hidden_states = out[0] if isinstance(out, tuple) else out
    normed: Tensor = model.norm(hidden_states)
    return normed
