"""One layer of any decoder as methods inside the language model see it."""

from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from litelvlm.models.vlm.attention import AttentionStates, reading
from litelvlm.pruning.layers.base import LayerView


@runtime_checkable
class Decoder(Protocol):
    """What the views need of a language model's decoder.

    Attributes:
        layers: Its layers, each with ``self_attn`` and ``input_layernorm``.
        norm: Its final norm.
        rotary_emb: Cosine and sine of positions.
    """

    layers: nn.ModuleList
    norm: nn.Module
    rotary_emb: nn.Module


class DecoderView(LayerView):
    """One sequence as it enters one layer; queries and keys are computed when read.

    Args:
        decoder: The language model.
        index: The layer, from 0.
        hidden_states: States of the sequence, without padding.
        rotary: Cosine and sine of its positions [s, e].
        image: Place of the remaining visual tokens of one image.
        queries: Sequence indices of the query tokens.
    """

    def __init__(  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
        self,
        decoder: Decoder,
        index: int,
        hidden_states: Float[Tensor, "s d"],
        rotary: tuple[Tensor, Tensor],
        image: slice,
        queries: Int[Tensor, "q"],
    ) -> None:
        self.decoder, self.index, self._rotary = decoder, index, rotary
        self.hidden_states, self.image, self.queries = hidden_states, image, queries

    @cached_property
    def _states(self) -> AttentionStates:
        layer = self.decoder.layers[self.index]
        cos, sin = self._rotary
        attention: nn.Module = layer.self_attn  # type: ignore[assignment]
        with reading([attention], attend=False) as (reader,):
            attention(
                hidden_states=layer.input_layernorm(self.hidden_states)[None],  # type: ignore[operator]
                position_embeddings=(cos[None], sin[None]),
                attention_mask=None,
            )
        if not reader.calls:
            raise ValueError(
                f"{type(attention).__name__} attends in its own way, so no method can rank tokens "
                "by its attention; take a method that acts before the language model"
            )
        return reader.calls[0]

    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """The layer's attention rows of some tokens over the whole sequence, float32."""
        states = self._states
        query, key = states.query[0], states.key[0]
        keys = key.repeat_interleave(len(query) // len(key), dim=0)
        logits = query[:, queries].float() @ keys.float().mT * states.scale
        later = torch.arange(keys.shape[1], device=keys.device) > queries[:, None]
        rows: Tensor = logits.masked_fill(later, float("-inf")).softmax(dim=-1)
        return rows

    def keys(self) -> Float[Tensor, "s k"]:
        """The layer's keys with their rotation, heads joined, float32."""
        return self._states.key[0].transpose(0, 1).flatten(1).float()

    def values(self) -> Float[Tensor, "s heads e"]:
        """The layer's values, float32."""
        return self._states.value[0].transpose(0, 1).float()

    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """Cosine and sine of the rotary angles at each position, float32."""
        cos, sin = self._rotary
        return cos.float(), sin.float()

    def states(self) -> Float[Tensor, "s d"]:
        """States that enter the layer, after the model's final norm, float32."""
        normed: Tensor = self.decoder.norm(self.hidden_states)
        return normed.float()
