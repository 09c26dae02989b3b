"""SAM's mask decoder for many prompts of one image: what no prompt changes is computed once.

Until the first block writes to them, the image's tokens are the same for every prompt, so their projections there are
shared; only the one mask that is used is made; and the two transposed convolutions of stride 2, whose windows do not
overlap, run as matrix products. The results are those of ``mask.low_resolution_masks`` up to the order of additions.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import SamModel


def masks_of_image(
    sam: SamModel, image_embeddings: Float[Tensor, "1 c h w"], seg_embeddings: Float[Tensor, "t c"]
) -> Float[Tensor, "t 4*h 4*w"]:
    """Decode one mask per prompt.

    Args:
        sam: The model whose decoder is used.
        image_embeddings: Output of SAM's image encoder.
        seg_embeddings: One embedding per prompt.

    Returns:
        Logits of mask slot 0.
    """
    decoder: Any = sam.mask_decoder
    height, width = image_embeddings.shape[-2:]
    dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    keys = _tokens(image_embeddings + dense)
    places = _tokens(sam.get_image_wide_positional_embeddings().to(image_embeddings.dtype))
    fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(len(seg_embeddings), -1, -1)
    prompts = torch.cat([fixed, seg_embeddings[:, None]], dim=1)
    queries = prompts
    for block in decoder.transformer.layers:
        if block.skip_first_layer_pe:
            queries = attend(block.self_attn, queries, queries, queries)
        else:
            asking = queries + prompts
            queries = queries + attend(block.self_attn, asking, asking, queries)
        queries = block.layer_norm1(queries)
        queries = queries + attend(block.cross_attn_token_to_image, queries + prompts, keys + places, keys)
        queries = block.layer_norm2(queries)
        queries = block.layer_norm3(queries + block.mlp(queries))
        told = attend(block.cross_attn_image_to_token, keys + places, queries + prompts, queries)
        keys = block.layer_norm4(keys + told)
    last = decoder.transformer.final_attn_token_to_image
    queries = queries + attend(last, queries + prompts, keys + places, keys)
    weights = decoder.output_hypernetworks_mlps[0](decoder.transformer.layer_norm_final_attn(queries)[:, 1])
    return _upscaled(decoder, keys, weights, (height, width))


def attend(
    attention: Any, query: Float[Tensor, "_ q c"], key: Float[Tensor, "_ k c"], value: Float[Tensor, "_ k c"]
) -> Float[Tensor, "_ q c"]:
    """One attention module of the decoder; a batch of one on either side is shared by all rows of the other."""
    heads = attention.num_attention_heads
    batch = max(len(query), len(key))
    q, k, v = (
        projection(x).unflatten(-1, (heads, -1)).transpose(1, 2).expand(batch, -1, -1, -1)
        for projection, x in ((attention.q_proj, query), (attention.k_proj, key), (attention.v_proj, value))
    )
    mixed = F.scaled_dot_product_attention(q, k, v, scale=attention.scaling)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _tokens(planes: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 n c"]:
    return planes.flatten(2).transpose(1, 2)


def _upscaled(
    decoder: Any, tokens: Float[Tensor, "t n c"], weights: Float[Tensor, "t e"], size: tuple[int, int]
) -> Float[Tensor, "t hh ww"]:
    """Two upscalings by 2 and the product with the mask's weights, channels last throughout."""
    norm = decoder.upscale_layer_norm
    coarse = _upscale(decoder.upscale_conv1, tokens)
    coarse = F.layer_norm(coarse, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    fine = decoder.activation(_upscale(decoder.upscale_conv2, decoder.activation(coarse)))
    values = torch.einsum("tnabe,te->tnab", fine, weights)
    t, (height, width) = len(tokens), size
    # (row, column, half row, half column, quarter row, quarter column): rows together, columns together.
    split = values.reshape(t, height, width, 2, 2, 2, 2)
    return split.permute(0, 1, 3, 5, 2, 4, 6).reshape(t, 4 * height, 4 * width)


def _upscale(conv: Any, x: Float[Tensor, "t n *m c"]) -> Tensor:
    """A transposed convolution of kernel and stride 2 on channels-last tokens: [..., c] to [..., 4, e]."""
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 e, c]
    out: Tensor = F.linear(x, weight, conv.bias.repeat(4)).unflatten(-1, (4, -1))
    return out
