"""Attention of SAM's image encoder with a faster bias of relative positions.

The score of query i for key j is q_i k_j plus a term for their distance in rows and one in columns
(decomposed relative positions), which make a bias of one number per pair and head.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import SamModel
from transformers.models.sam.modeling_sam import SamVisionLayer, SamVisionSdpaAttention


class RelativeAttention(SamVisionSdpaAttention):
    """The library's attention with another way to add relative positions."""

    def forward(  # type: ignore[override]  # the library's callers unpack a pair
        self, hidden_states: Float[Tensor, "b h w c"], output_attentions: bool = False
    ) -> tuple[Tensor, None]:
        """Attend within each map of tokens.

        Returns:
            The mixed values, in the input's shape, and None instead of weights, which are never
            made.
        """
        batch, height, width, _ = hidden_states.shape
        split = self.qkv(hidden_states).reshape(
            batch, height * width, 3, self.num_attention_heads, -1
        )
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = with_bias(query, key, value, *self.distances(height, width))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, height, width, -1))
        return out, None

    def distances(
        self, height: int, width: int
    ) -> tuple[Float[Tensor, "h h e"], Float[Tensor, "w w e"]]:
        """Embeddings of the distance of every query's row and column to every key's."""
        return by_distance(self.rel_pos_h, height), by_distance(self.rel_pos_w, width)


def by_distance(table: Float[Tensor, "l e"], side: int) -> Float[Tensor, "side side e"]:
    """Embedding of the distance of every query's place to every key's, along one axis.

    The library makes the same from an index on the CPU, so that each block waits for its copy.

    Args:
        table: One embedding per distance, stretched if it is not as long as ``side`` needs.
        side: Places.
    """
    stretched = F.interpolate(table.T[None], size=2 * side - 1, mode="linear")[0].T
    places = torch.arange(side, device=table.device)
    return stretched[places[:, None] - places + side - 1]


def with_bias(
    query: Float[Tensor, "b heads n e"],
    key: Float[Tensor, "b heads n e"],
    value: Float[Tensor, "b heads n e"],
    rows: Float[Tensor, "h h e"],
    columns: Float[Tensor, "w w e"],
) -> Float[Tensor, "b heads n e"]:
    """Attention over maps of h x w = n tokens, with a bias of one number per pair."""
    by_row, by_column = place_terms(query, rows, columns)
    bias = (by_row[..., :, None] + by_column[..., None, :]).flatten(-2)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


def place_terms(
    query: Float[Tensor, "b heads n e"],
    rows: Float[Tensor, "h h e"],
    columns: Float[Tensor, "w w e"],
) -> tuple[Float[Tensor, "b heads n h"], Float[Tensor, "b heads n w"]]:
    """What a query adds to the score of each key row, and of each key column."""
    maps = query.unflatten(2, (len(rows), len(columns)))
    by_row = torch.einsum("bnhwe,hke->bnhwk", maps, rows).flatten(2, 3)
    by_column = torch.einsum("bnhwe,wke->bnhwk", maps, columns).flatten(2, 3)
    return by_row, by_column


def prepare_encoder(sam: SamModel) -> None:
    """Replace the library's fused attention of an image encoder; an eager one stays as it is.

    Its convolutions get the memory layout of its maps, channels last, which changes no result.
    """
    encoder = sam.vision_encoder
    layers = cast(Sequence[SamVisionLayer], encoder.layers)
    if not all(isinstance(layer.attn, SamVisionSdpaAttention) for layer in layers):
        return
    for convolution in (encoder.patch_embed.projection, encoder.neck.conv1, encoder.neck.conv2):
        convolution.to(memory_format=torch.channels_last)
    for layer in layers:
        # The parts and their names stay the library's. Only the class decides how they are used.
        layer.attn.__class__ = RelativeAttention
