"""LLaMA's decoder, layer by layer: explicit positions, and a hook that may drop tokens."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from transformers import LlamaForCausalLM

# Called before layer i with (i, hidden states, positions). Returns what the layer gets: the same
# two tensors, or new ones with fewer tokens.
BeforeLayer = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
# Additive mask of layer i.
LayerMask = Callable[[int], Tensor]


@runtime_checkable
class KeyValueCache(Protocol):
    """What a layer of LLaMA calls on its cache."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: object
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values [b, heads, s, e] that the layer attends to.

        Args:
            key_states: Keys of the new tokens, with their rotation.
            value_states: Values of the new tokens.
            layer_idx: Index of the layer.
            *args: What else the library passes on; not used.
        """


def causal_mask(length: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "1 1 s s"]:
    """Additive mask: 0 where a position may attend, the most negative number where it may not."""
    full = torch.full((length, length), torch.finfo(dtype).min, dtype=dtype, device=device)
    return full.triu(1)[None, None]


def run_layer(
    layer: nn.Module,
    hidden_states: Float[Tensor, "b s d"],
    mask: Tensor | None,
    position_ids: Real[Tensor, "b s"],
    rotary: tuple[Tensor, Tensor],
    cache: KeyValueCache | None = None,
) -> Float[Tensor, "b s d"]:
    """Run one layer of the decoder.

    Args:
        layer: One of the decoder's layers.
        hidden_states: States that enter it.
        mask: Additive attention mask, None where the kernel makes its own causal one.
        position_ids: Rotary position of every token.
        rotary: Cosine and sine of the rotary angles at these positions.
        cache: Keys and values of earlier tokens.
    """
    out = layer(
        hidden_states,
        attention_mask=mask,
        position_ids=position_ids,
        past_key_values=cache,
        position_embeddings=rotary,
    )
    # The library's releases differ in whether a layer returns a tuple.
    states: Tensor = out[0] if isinstance(out, tuple) else out
    return states


def decode(
    llama: LlamaForCausalLM,
    inputs_embeds: Float[Tensor, "b s d"],
    position_ids: Real[Tensor, "b s"],
    attention_mask: Tensor | LayerMask | None = None,
    before_layer: BeforeLayer | None = None,
    cache: KeyValueCache | None = None,
) -> Float[Tensor, "b s2 d"]:
    """Run the decoder and return the states after the final norm.

    Rows of a batch are padded on the right. Under a causal mask padding cannot reach a real token,
    so no padding mask is needed.

    Args:
        llama: The language model; its head is not used.
        inputs_embeds: Spliced embeddings.
        position_ids: Rotary position of every token, whole or real; gaps and repeats are legal.
        attention_mask: Additive mask [b or 1, 1, s, keys] that replaces the causal one, or a
            function that gives the mask of each layer.
        before_layer: May drop tokens before a layer. A mask must then be given by layer, if at all.
        cache: Keys and values of earlier tokens. Without a mask it must be empty, or
            ``inputs_embeds`` hold one token.

    Raises:
        ValueError: If ``before_layer`` comes with one mask for all layers.
    """
    if isinstance(attention_mask, Tensor) and before_layer is not None:
        raise ValueError(
            "tokens cannot be dropped between layers under one explicit attention mask; "
            "give one of the two, or a mask for each layer"
        )
    model = llama.model
    hidden_states = inputs_embeds
    rotary = model.rotary_emb(hidden_states, position_ids=position_ids)
    # sdpa and flash kernels make their own causal mask; the eager kernel needs an explicit one.
    needs_mask = model.config._attn_implementation == "eager"
    for index, layer in enumerate(model.layers):
        if before_layer is not None:
            hidden_states, moved = before_layer(index, hidden_states, position_ids)
            if moved is not position_ids:
                position_ids, rotary = moved, model.rotary_emb(hidden_states, position_ids=moved)
        mask = attention_mask(index) if callable(attention_mask) else attention_mask
        if mask is None and needs_mask:
            mask = causal_mask(hidden_states.shape[1], hidden_states.dtype, hidden_states.device)
        hidden_states = run_layer(layer, hidden_states, mask, position_ids, rotary, cache)
    normed: Tensor = model.norm(hidden_states)
    return normed


Places = Sequence[Sequence[int]]
"""Indices in each row of a batch; negative ones count from its end."""


class GivenStates(NamedTuple):
    """What a teacher-forced pass gives.

    Attributes:
        hidden_states: Of every token after the final norm.
        seg_states: Those for each row's [SEG]s.
    """

    hidden_states: Float[Tensor, "b s d"]
    seg_states: list[Float[Tensor, "_ d"]]

    @property
    def stacked(self) -> Float[Tensor, "b t d"]:
        """States for [SEG], where every row has as many."""
        return torch.stack(self.seg_states)


def seg_places(ids: Sequence[int], seg_id: int) -> tuple[int, ...]:
    """Indices whose state predicts a [SEG]: each is the one before it.

    Example:
        >>> seg_places([1, 5, 9, 7, 9], seg_id=9)
        (1, 3)
    """
    return tuple(place - 1 for place, token in enumerate(ids) if token == seg_id)


def forward_given(
    llama: LlamaForCausalLM,
    inputs_embeds: Float[Tensor, "b s d"],
    position_ids: Real[Tensor, "b s"],
    seg_index: Places,
    attention_mask: Tensor | LayerMask | None = None,
    before_layer: BeforeLayer | None = None,
    moved: Callable[[Places], Places] | None = None,
) -> GivenStates:
    """Run the language model over prompts with their answers.

    Args:
        llama: The language model.
        inputs_embeds: As for ``decode``.
        position_ids: Likewise.
        seg_index: Indices of the states for [SEG] (``seg_places``) in each row.
        attention_mask: As for ``decode``.
        before_layer: Likewise.
        moved: Where indices are after the pass, if it dropped tokens.
    """
    states = decode(llama, inputs_embeds, position_ids, attention_mask, before_layer)
    rows = seg_index if moved is None else moved(seg_index)
    seg_states = [row[list(places)] for row, places in zip(states, rows, strict=True)]
    return GivenStates(states, seg_states)
