"""SAM's mask decoder for many prompts of one image: what no prompt changes is computed once.

Until the first block writes to them, the image's tokens are the same for every prompt, so what is
made of them there is shared; only the one mask that is used is made, from the one token that stands
for it; the two transposed convolutions of stride 2, whose windows do not overlap, run as matrix
products. A prompt has few tokens and an image many, so where the two look at each other the
projections of the image's side are moved to the prompt's: with q = W x, q k is x (W' k). The
results are those of ``mask.low_resolution_masks`` up to the order of additions.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import SamModel

MASK_TOKEN = 1  # behind the one that rates masks; the first of four


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
    seen = keys + places
    fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(
        len(seg_embeddings), -1, -1
    )
    prompts = torch.cat([fixed, seg_embeddings[:, None]], dim=1)
    queries = prompts
    for block in decoder.transformer.layers:
        if block.skip_first_layer_pe:
            queries = attend(block.self_attn, queries, queries)
        else:
            queries = queries + attend(block.self_attn, queries + prompts, queries)
        queries = block.layer_norm1(queries)
        queries = queries + look(block.cross_attn_token_to_image, queries + prompts, seen, keys)
        queries = block.layer_norm2(queries)
        queries = block.layer_norm3(queries + block.mlp(queries))
        keys = block.layer_norm4(
            keys + tell(block.cross_attn_image_to_token, seen, queries + prompts, queries)
        )
        seen = keys + places
    mask, asking = (x[:, MASK_TOKEN : MASK_TOKEN + 1] for x in (queries, queries + prompts))
    mask = mask + look(decoder.transformer.final_attn_token_to_image, asking, seen, keys)
    weights = decoder.output_hypernetworks_mlps[0](
        decoder.transformer.layer_norm_final_attn(mask)[:, 0]
    )
    return _upscaled(decoder, keys, weights, (height, width))


def attend(
    attention: Any, asking: Float[Tensor, "t q c"], value: Float[Tensor, "t q c"]
) -> Float[Tensor, "t q c"]:
    """Self-attention of each prompt's tokens."""
    q, k, v = (
        projection(x).unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
        for projection, x in (
            (attention.q_proj, asking),
            (attention.k_proj, asking),
            (attention.v_proj, value),
        )
    )
    mixed = F.scaled_dot_product_attention(q, k, v, scale=attention.scaling)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def look(
    attention: Any,
    asking: Float[Tensor, "t q c"],
    seen: Float[Tensor, "b n c"],
    image: Float[Tensor, "b n c"],
) -> Float[Tensor, "t q c"]:
    """A prompt's tokens attend to the image's, which an image batch of one shares among the prompts.

    Keys and values are never made: queries are carried back through the key projection, whose
    offset is the same for all tokens and falls out of the softmax, and what was mixed goes through
    the value projection afterwards.
    """
    heads = attention.num_attention_heads
    queries = attention.q_proj(asking).unflatten(-1, (heads, -1)) * attention.scaling
    back = torch.einsum(
        "tqhe,hec->tqhc", queries, attention.k_proj.weight.unflatten(0, (heads, -1))
    )
    weights = _product(back.flatten(1, 2), seen.transpose(1, 2)).softmax(dim=-1)
    mixed = _product(weights, image).unflatten(1, (-1, heads))
    values = torch.einsum(
        "tqhc,hec->tqhe", mixed, attention.v_proj.weight.unflatten(0, (heads, -1))
    ).flatten(2)
    out: Tensor = attention.out_proj(values + attention.v_proj.bias)
    return out


def tell(
    attention: Any,
    seen: Float[Tensor, "b n c"],
    asked: Float[Tensor, "t k c"],
    value: Float[Tensor, "t k c"],
) -> Float[Tensor, "t n c"]:
    """The image's tokens attend to a prompt's; an image batch of one is shared among the prompts."""
    heads, n_asked = attention.num_attention_heads, asked.shape[1]
    keys = attention.k_proj(asked).unflatten(-1, (heads, -1)) * attention.scaling
    back = torch.einsum("tkhe,hec->thkc", keys, attention.q_proj.weight.unflatten(0, (heads, -1)))
    offset = torch.einsum("tkhe,he->thk", keys, attention.q_proj.bias.unflatten(0, (heads, -1)))
    logits = _product(back.flatten(1, 2), seen.transpose(1, 2)) + offset.flatten(1)[..., None]
    weights = logits.unflatten(1, (heads, n_asked)).softmax(dim=2).flatten(1, 2)
    values = attention.v_proj(value).unflatten(-1, (heads, -1))
    ahead = torch.einsum(
        "tkhe,che->thkc", values, attention.out_proj.weight.unflatten(1, (heads, -1))
    )
    ahead[:, 0] += (
        attention.out_proj.bias
    )  # a head's weights sum to 1, so one of them can carry the offset
    told: Tensor = weights.transpose(1, 2) @ ahead.flatten(1, 2)
    return told


def _product(left: Float[Tensor, "t m k"], right: Float[Tensor, "b k n"]) -> Float[Tensor, "t m n"]:
    """Matrix products; with one matrix on the right a single large one."""
    return left @ (right[0] if len(right) == 1 else right)


def _tokens(planes: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 n c"]:
    return planes.flatten(2).transpose(1, 2)


def _upscaled(
    decoder: Any,
    tokens: Float[Tensor, "t n c"],
    weights: Float[Tensor, "t e"],
    size: tuple[int, int],
) -> Float[Tensor, "t hh ww"]:
    """Two upscalings by 2 and the product with the mask's weights, channels last throughout."""
    norm = decoder.upscale_layer_norm
    coarse = _upscale(decoder.upscale_conv1, tokens)
    coarse = F.layer_norm(coarse, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    fine = decoder.activation(_upscale(decoder.upscale_conv2, decoder.activation(coarse)))
    values = fine.flatten(1, -2) @ weights[..., None]
    t, (height, width) = len(tokens), size
    # (row, column, half row, half column, quarter row, quarter column): rows together, columns
    # together.
    split = values.reshape(t, height, width, 2, 2, 2, 2)
    planes: Tensor = split.permute(0, 1, 3, 5, 2, 4, 6).reshape(t, 4 * height, 4 * width)
    return planes


def _upscale(conv: Any, x: Float[Tensor, "t n *m c"]) -> Tensor:
    """A transposed convolution of kernel and stride 2 on channels-last tokens: [..., c] to [..., 4, e]."""
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 e, c]
    out: Tensor = F.linear(x, weight, conv.bias.repeat(4)).unflatten(-1, (4, -1))
    return out
