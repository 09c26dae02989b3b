"""Attention of SAM's image encoder with its decomposed relative positions, without an [n, n] bias where that is faster.

The score of query i for key j is q_i k_j plus a term for their distance in rows and one in columns.
The library adds both up to a bias of one number per pair and head - half a gigabyte per global
block of ViT-H in bfloat16 - and a kernel that takes a bias. The terms are themselves products: with
q_i R_rows and q_i R_columns as extra channels of the query, and one-hot places as extra channels of
the key, plain attention gives the same scores. On a GPU in half precision that is what the flash
kernel wants; elsewhere the bias is cheaper than the longer channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import SamModel
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

MOST_CHANNELS = 256
"""Longest query of a flash kernel."""


class RelativeAttention(SamVisionSdpaAttention):
    """The library's attention, whose parts it uses, with another way to bring in relative positions."""

    def forward(
        self, hidden_states: Float[Tensor, "b h w c"], output_attentions: bool = False
    ) -> Any:
        """Attend within each map of tokens.

        Returns:
            What was mixed, shaped as the input, and None: weights are never made, so that none can
            be given.
        """
        batch, height, width, _ = hidden_states.shape
        split = self.qkv(hidden_states).reshape(
            batch, height * width, 3, self.num_attention_heads, -1
        )
        query, key, value = split.permute(2, 0, 3, 1, 4)
        longer = query.shape[-1] + height + width
        as_channels = query.is_cuda and query.dtype != torch.float32 and longer <= MOST_CHANNELS
        attend = with_channels if as_channels else with_bias
        mixed = attend(query, key, value, *self.distances(height, width))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, height, width, -1))
        return out, None

    def distances(
        self, height: int, width: int
    ) -> tuple[Float[Tensor, "h h e"], Float[Tensor, "w w e"]]:
        """Embeddings of the distance of every query's row and column to every key's."""
        rows: Tensor = self.get_rel_pos(height, height, self.rel_pos_h)
        columns: Tensor = self.get_rel_pos(width, width, self.rel_pos_w)
        return rows, columns


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


def with_channels(
    query: Float[Tensor, "b heads n e"],
    key: Float[Tensor, "b heads n e"],
    value: Float[Tensor, "b heads n e"],
    rows: Float[Tensor, "h h e"],
    columns: Float[Tensor, "w w e"],
) -> Float[Tensor, "b heads n e"]:
    """The same with the relative positions in further channels, which a kernel without a bias can take."""
    width, height, channels = len(columns), len(rows), query.shape[-1]
    terms = place_terms(query, rows, columns)
    one_hot: dict[str, Any] = {"dtype": key.dtype, "device": key.device}
    places = [
        torch.eye(height, **one_hot).repeat_interleave(width, dim=0),
        torch.eye(width, **one_hot).repeat(height, 1),
    ]
    asking = torch.cat([query * channels**-0.5, *terms], dim=-1)
    asked = torch.cat([key, *(place.expand(*key.shape[:2], -1, -1) for place in places)], dim=-1)
    # Kernels want values as long as keys, and lengths that are multiples of 8.
    spare = -asking.shape[-1] % 8
    asking, asked = F.pad(asking, (0, spare)), F.pad(asked, (0, spare))
    value = F.pad(value, (0, asked.shape[-1] - channels))
    return F.scaled_dot_product_attention(asking, asked, value, scale=1.0)[..., :channels]


def place_terms(
    query: Float[Tensor, "b heads n e"],
    rows: Float[Tensor, "h h e"],
    columns: Float[Tensor, "w w e"],
) -> tuple[Float[Tensor, "b heads n h"], Float[Tensor, "b heads n w"]]:
    """What a query adds to the score of a key for the key's row, and for its column."""
    maps = query.unflatten(2, (len(rows), len(columns)))
    by_row = torch.einsum("bnhwe,hke->bnhwk", maps, rows).flatten(2, 3)
    by_column = torch.einsum("bnhwe,wke->bnhwk", maps, columns).flatten(2, 3)
    return by_row, by_column


def prepare_encoder(sam: SamModel) -> None:
    """Let the image encoder of a model with the library's fused attention attend this way; an eager one is left alone.

    Its convolutions get the memory layout that its maps have, channels last, which changes no
    result.
    """
    encoder: Any = sam.vision_encoder
    if not all(isinstance(layer.attn, SamVisionSdpaAttention) for layer in encoder.layers):
        return
    for convolution in (encoder.patch_embed.projection, encoder.neck.conv1, encoder.neck.conv2):
        convolution.to(memory_format=torch.channels_last)
    for layer in encoder.layers:
        # The parts and their names stay the library's, whose class alone decides how they are used.
        layer.attn.__class__ = RelativeAttention
