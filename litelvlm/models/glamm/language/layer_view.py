"""One sequence as it enters one LLaMA layer: what a method may rank its visual tokens by."""

from functools import cached_property

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import rotate_half

from litelvlm.pruning.layers.base import LayerView


class LlamaView(LayerView):
    """One sequence as it enters one LLaMA layer; queries and keys are computed when read.

    Args:
        llama: The language model.
        index: The layer.
        hidden_states: States of the sequence, without padding.
        position_ids: Rotary positions.
        image: Place of the remaining visual tokens.
        queries: Sequence indices of the query tokens.
    """

    def __init__(  # type: ignore[explicit-any, unused-ignore]  # a slice has no types at run time
        self,
        llama: LlamaForCausalLM,
        index: int,
        hidden_states: Float[Tensor, "s d"],
        position_ids: Real[Tensor, "s"],
        image: slice,
        queries: Int[Tensor, "q"],
    ) -> None:
        self.index, self.model, self.layer = index, llama.model, llama.model.layers[index]
        self.hidden_states, self.position_ids = hidden_states, position_ids
        self.image, self.queries = image, queries

    @cached_property
    def _normed(self) -> Float[Tensor, "s d"]:
        normed: Tensor = self.layer.input_layernorm(self.hidden_states)
        return normed

    @cached_property
    def _rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        cos, sin = self.model.rotary_emb(self._normed, position_ids=self.position_ids[None])
        return cos[0], sin[0]

    @cached_property
    def _keys(self) -> Float[Tensor, "s heads e"]:
        return self._rotated(self.layer.self_attn.k_proj(self._normed), *self._rotary)

    def _rotated(self, flat: Tensor, cos: Tensor, sin: Tensor) -> Float[Tensor, "n heads e"]:
        """Split heads and turn each by its position."""
        heads = flat.unflatten(-1, (-1, self.layer.self_attn.head_dim))
        turned: Tensor = heads * cos[:, None] + rotate_half(heads) * sin[:, None]
        return turned

    def attention(self, queries: Int[Tensor, "q"]) -> Float[Tensor, "heads q s"]:
        """The layer's attention rows of some tokens over the whole sequence, float32."""
        attention = self.layer.self_attn
        cos, sin = self._rotary
        query = self._rotated(attention.q_proj(self._normed[queries]), cos[queries], sin[queries])
        keys = self._keys.repeat_interleave(attention.num_key_value_groups, dim=1)
        logits = torch.einsum("qhe,she->hqs", query.float(), keys.float()) * attention.scaling
        later = torch.arange(len(keys), device=keys.device) > queries[:, None]
        rows: Tensor = logits.masked_fill(later, float("-inf")).softmax(dim=-1)
        return rows

    def keys(self) -> Float[Tensor, "s k"]:
        """The layer's keys with their rotation, heads joined, float32."""
        return self._keys.flatten(1).float()

    def values(self) -> Float[Tensor, "s heads e"]:
        """The layer's values, float32."""
        attention = self.layer.self_attn
        values: Tensor = attention.v_proj(self._normed).unflatten(-1, (-1, attention.head_dim))
        return values.float()

    def rotary(self) -> tuple[Float[Tensor, "s e"], Float[Tensor, "s e"]]:
        """Cosine and sine of the rotary angles at each token's position, each twice, float32."""
        # The model's own rotation is rounded to its number type, and scores would tie.
        cos, sin = self.model.rotary_emb(self._normed.float(), position_ids=self.position_ids[None])
        return cos[0], sin[0]

    def states(self) -> Float[Tensor, "s d"]:
        """States that enter the layer, after the model's final norm, float32."""
        normed: Tensor = self.model.norm(self.hidden_states)
        return normed.float()
