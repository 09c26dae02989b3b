"""LLaMA over many prompts that begin alike: the common beginning runs once, and only states that are read are finished.

Every prompt opens with the same text up to the image, whatever the picture, the question and the method. Under a causal
mask its keys and values depend on nothing behind it, so they are computed once and handed to every pass. Nothing behind
the last state that is read can change it, and in the last layer only the read states are carried to the end. The
results are those of ``llama.decode`` up to the order of additions.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import rotate_half

KERNELS = ("sdpa", "eager")
"""Attention kernels that take an explicit mask, which a shared prefix needs."""


@dataclass
class Past:
    """What LLaMA's attention asks a cache for, with keys and values that are already known in front.

    Attributes:
        keys: Known keys with their rotation, batch of one.
        values: Known values, batch of one.
    """

    keys: Float[Tensor, "1 heads p e"]
    values: Float[Tensor, "1 heads p e"]

    def update(self, keys: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        """Put the known keys and values in front of a layer's new ones."""
        known = (known.expand(len(keys), -1, -1, -1) for known in (self.keys, self.values))
        return tuple(torch.cat(pair, dim=2) for pair in zip(known, (keys, values), strict=True))  # type: ignore[return-value]


@dataclass
class Recorder:
    """Remembers each layer's keys and values in passing."""

    layers: list[Past] = field(default_factory=list)

    def update(self, keys: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        """Keep and return them."""
        self.layers.append(Past(keys, values))
        return keys, values


@dataclass
class Given:
    """Hands out keys and values of all tokens where only some of them go through the layer."""

    keys: Float[Tensor, "b heads s e"]
    values: Float[Tensor, "b heads s e"]

    def update(self, keys: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        """The given ones, whatever the layer computed."""
        return self.keys, self.values


def prefix_states(llama: LlamaForCausalLM, input_ids: Int[Tensor, "p"]) -> tuple[Past, ...]:
    """Keys and values of a prompt's beginning in every layer.

    Args:
        llama: The language model.
        input_ids: Tokens from the first one on, at positions 0 to p - 1.
    """
    model = llama.model
    hidden_states = model.embed_tokens(input_ids)[None]
    position_ids = torch.arange(len(input_ids), device=input_ids.device)[None]
    rotary = model.rotary_emb(hidden_states, position_ids=position_ids)
    mask = causal_rows(torch.arange(len(input_ids), device=input_ids.device)[None], 0, len(input_ids), hidden_states)
    recorder = Recorder()
    for layer in model.layers:
        hidden_states = _through(layer, hidden_states, mask, position_ids, rotary, recorder)
    return tuple(recorder.layers)


def read_states(
    llama: LlamaForCausalLM,
    prefix: tuple[Past, ...],
    inputs_embeds: Float[Tensor, "b s d"],
    position_ids: Real[Tensor, "b s"],
    reads: Int[Tensor, "b r"],
) -> Float[Tensor, "b r d"]:
    """States after the final norm at the places that are read.

    Args:
        llama: The language model, with an attention kernel of ``KERNELS``.
        prefix: Of the prompts, from ``prefix_states``.
        inputs_embeds: What follows the prefix, padded on the right.
        position_ids: Rotary positions of that.
        reads: Places in ``inputs_embeds`` to read.
    """
    model, last = llama.model, llama.model.layers[-1]
    length, n_known = inputs_embeds.shape[1], prefix[0].keys.shape[2]
    cos, sin = model.rotary_emb(inputs_embeds, position_ids=position_ids)
    every = torch.arange(length, device=inputs_embeds.device)[None]
    mask = causal_rows(every, n_known, length, inputs_embeds)
    hidden_states = inputs_embeds
    for layer, past in zip(model.layers[:-1], prefix[:-1], strict=True):
        hidden_states = _through(layer, hidden_states, mask, position_ids, (cos, sin), past)
    keys, values = _keys_and_values(last, hidden_states, cos, sin)
    rows = torch.arange(len(reads), device=reads.device)[:, None]
    given = Given(*prefix[-1].update(keys, values))
    mask = causal_rows(reads, n_known, length, inputs_embeds)
    rotary = (cos.expand(len(reads), -1, -1)[rows, reads], sin.expand(len(reads), -1, -1)[rows, reads])
    read = _through(last, hidden_states[rows, reads], mask, position_ids[rows, reads], rotary, given)
    normed: Tensor = model.norm(read)
    return normed


def causal_rows(places: Int[Tensor, "b r"], n_known: int, length: int, like: Tensor) -> Float[Tensor, "b 1 r k"]:
    """Additive mask rows: each place sees the prefix, itself and what lies before it.

    Example:
        >>> causal_rows(torch.tensor([[0, 1]]), 1, 2, torch.zeros(1)).isfinite().all().item()
        True
    """
    later = torch.arange(length, device=places.device) > places[..., None]
    rows = torch.zeros(*places.shape, n_known + length, dtype=like.dtype, device=places.device)
    rows[..., n_known:].masked_fill_(later, torch.finfo(like.dtype).min)
    return rows[:, None]


def _through(
    layer: Any, hidden_states: Tensor, mask: Tensor, position_ids: Tensor, rotary: tuple[Tensor, Tensor], past: Any
) -> Tensor:
    out = layer(
        hidden_states,
        attention_mask=mask,
        position_ids=position_ids,
        past_key_values=past,
        position_embeddings=rotary,
    )
    states: Tensor = out[0] if isinstance(out, tuple) else out
    return states


def _keys_and_values(layer: Any, hidden_states: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Keys, with their rotation, and values of one layer for all tokens."""
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden_states)
    keys, values = (
        projection(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        for projection in (attention.k_proj, attention.v_proj)
    )
    return keys * cos[:, None] + rotate_half(keys) * sin[:, None], values
