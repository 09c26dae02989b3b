"""LLaMA over many prompts that begin alike: the common beginning runs once, and only states that are read are finished.

Every prompt opens with the same text up to the image, whatever the picture, the question and the
method; and questions about one image go on alike through the image's tokens, if a method kept the
same ones for them, and the first words behind it. Under a causal mask keys and values of a
beginning depend on nothing behind it, so they are computed once and handed to every pass. Nothing
behind the last state that is read can change it, and in the last layer only the read states are
carried to the end. The results are those of ``llama.decode`` up to the order of additions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import rotate_half

KERNELS = ("sdpa", "eager")
"""Attention kernels that take an explicit mask, which a shared prefix needs."""


@dataclass(frozen=True)
class Past:
    """What LLaMA's attention asks a cache for, with keys and values that are already known in front.

    Attributes:
        keys: Known keys with their rotation.
        values: Known values.
        rows: For each pass the beginning that is its own; None if there is one beginning for all.
    """

    keys: Float[Tensor, "n heads p e"]
    values: Float[Tensor, "n heads p e"]
    rows: Int[Tensor, "b"] | None = None

    def update(self, keys: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        """Put the known keys and values in front of a layer's new ones."""
        return self._in_front(self.keys, keys), self._in_front(self.values, values)

    def _in_front(self, known: Tensor, new: Tensor) -> Tensor:
        own = known.expand(len(new), -1, -1, -1) if self.rows is None else known[self.rows]
        return torch.cat([own, new], dim=2)


class Recorder:
    """Remembers each layer's keys and values in passing, those of an earlier beginning included.

    Args:
        known: Of the earlier beginning, by layer; empty if there is none.

    Attributes:
        layers: What was remembered so far.
    """

    def __init__(self, known: Sequence[Past] = ()) -> None:
        self.known, self.layers = known, list[Past]()

    def update(self, keys: Tensor, values: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        """Keep and return them."""
        if self.known:
            keys, values = self.known[len(self.layers)].update(keys, values)
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


def prefix_states(
    llama: LlamaForCausalLM,
    inputs_embeds: Float[Tensor, "n s d"],
    position_ids: Real[Tensor, "n s"],
    known: Sequence[Past] = (),
) -> tuple[Past, ...]:
    """Keys and values of beginnings of prompts in every layer.

    Args:
        llama: The language model, with an attention kernel of ``KERNELS``.
        inputs_embeds: Beginnings of equal length, without what is known already.
        position_ids: Their rotary positions.
        known: What stands in front of all of them; empty if nothing does.
    """
    model, length = llama.model, inputs_embeds.shape[1]
    n_known = known[0].keys.shape[2] if known else 0
    rotary = model.rotary_emb(inputs_embeds, position_ids=position_ids)
    mask = causal_rows(
        torch.arange(length, device=inputs_embeds.device)[None], n_known, length, inputs_embeds
    )
    recorder, hidden_states = Recorder(known), inputs_embeds
    for layer in model.layers[:-1]:
        hidden_states = _through(layer, hidden_states, mask, position_ids, rotary, recorder)
    recorder.update(*_keys_and_values(model.layers[-1], hidden_states, *rotary))
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
    rotary = (
        cos.expand(len(reads), -1, -1)[rows, reads],
        sin.expand(len(reads), -1, -1)[rows, reads],
    )
    read = _through(
        last, hidden_states[rows, reads], mask, position_ids[rows, reads], rotary, given
    )
    normed: Tensor = model.norm(read)
    return normed


def causal_rows(
    places: Int[Tensor, "b r"], n_known: int, length: int, like: Tensor
) -> Float[Tensor, "b 1 r k"]:
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
    layer: Any,
    hidden_states: Tensor,
    mask: Tensor,
    position_ids: Tensor,
    rotary: tuple[Tensor, Tensor],
    past: Any,
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


def _keys_and_values(
    layer: Any, hidden_states: Tensor, cos: Tensor, sin: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys, with their rotation, and values of one layer for all tokens."""
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden_states)
    keys, values = (
        projection(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        for projection in (attention.k_proj, attention.v_proj)
    )
    return keys * cos[:, None] + rotate_half(keys) * sin[:, None], values
