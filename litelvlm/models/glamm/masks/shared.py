"""SAM's mask decoder for many prompts of one image: what no prompt changes is computed once.

Until the first block writes to the image's tokens, they are the same for every prompt, so what is
made of them there is shared. Only the one mask that is used is decoded, from its own output token.
The two transposed convolutions of stride 2, whose windows do not overlap, run as matrix products. A
prompt has few tokens and an image many, so where one attends to the other the projections of the
image's side are moved to the prompt's: with q = W x, q k is x (W' k). The results are those of
``masks.decoder.low_resolution_masks`` up to the order of additions.

Measured gain: the masks of 33 requests about one image take 3.1 times less processor time than one
by one (``benchmarks/batched_parts.py``: miniature, median of 9 rounds, one thread, float32).
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import SamModel
from transformers.models.sam.modeling_sam import (
    SamAttention,
    SamMaskDecoder,
    SamTwoWayAttentionBlock,
)

MASK_TOKEN = 1  # token 0 rates masks; token 1 gives the first of four masks
PER_TOKEN = 4  # rows and columns of logits of an image token: two upscalings by 2
PAIR = {
    torch.float32: torch.int64,
    torch.bfloat16: torch.int32,
    torch.float16: torch.int32,
    torch.float64: torch.complex128,
}
"""A number type twice as wide, to move two neighbours as one."""


def masks_of_image(
    sam: SamModel,
    image_embeddings: Float[Tensor, "1 c h w"],
    seg_embeddings: Float[Tensor, "t c"],
    extent: tuple[int, int] | None = None,
) -> Float[Tensor, "t hh ww"]:
    """Decode one mask per prompt.

    Args:
        sam: The model whose decoder is used.
        image_embeddings: Output of SAM's image encoder.
        seg_embeddings: One embedding per prompt.
        extent: Rows and columns of image tokens, from the top left, whose logits are needed; all if
            left out. The others are read, and not upscaled.

    Returns:
        Logits of mask slot 0, ``PER_TOKEN`` rows and columns per token.
    """
    decoder = sam.mask_decoder
    transformer = decoder.transformer
    height, width = image_embeddings.shape[-2:]
    dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    image = _tokens(image_embeddings + dense)
    positions = _tokens(sam.get_image_wide_positional_embeddings().to(image_embeddings.dtype))
    fixed = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).expand(
        len(seg_embeddings), -1, -1
    )
    prompts = torch.cat([fixed, seg_embeddings[:, None]], dim=1)
    queries = prompts
    for block in cast(Iterable[SamTwoWayAttentionBlock], transformer.layers):
        placed = image + positions
        if block.skip_first_layer_pe:
            queries = attend(block.self_attn, queries, queries)
        else:
            queries = queries + attend(block.self_attn, queries + prompts, queries)
        queries = block.layer_norm1(queries)
        queries = queries + attend_to_image(
            block.cross_attn_token_to_image, queries + prompts, (placed,), image
        )
        queries = block.layer_norm2(queries)
        queries = block.layer_norm3(queries + block.mlp(queries))
        attention = block.cross_attn_image_to_token
        image = attend_to_prompt(attention, placed, queries + prompts, queries, image)
        image = block.layer_norm4(image)
    one = slice(MASK_TOKEN, MASK_TOKEN + 1)
    mask = queries[:, one]
    mask = mask + attend_to_image(
        transformer.final_attn_token_to_image,
        (queries + prompts)[:, one],
        (image, positions),  # one query: two small products cost less than the sum of two images
        image,
    )
    weights = decoder.output_hypernetworks_mlps[0](transformer.layer_norm_final_attn(mask)[:, 0])
    rows, columns = extent or (height, width)
    needed = image.unflatten(1, (height, width))[:, :rows, :columns].flatten(1, 2)
    return _upscaled(decoder, needed, weights, (rows, columns))


def attend(
    attention: SamAttention, queries: Float[Tensor, "t q c"], values: Float[Tensor, "t q c"]
) -> Float[Tensor, "t q c"]:
    """Self-attention of each prompt's tokens."""
    q, k, v = (
        projection(x).unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
        for projection, x in (
            (attention.q_proj, queries),
            (attention.k_proj, queries),
            (attention.v_proj, values),
        )
    )
    mixed = F.scaled_dot_product_attention(q, k, v, scale=attention.scaling)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def attend_to_image(
    attention: SamAttention,
    queries: Float[Tensor, "t q c"],
    keys: Sequence[Float[Tensor, "_ n c"]],
    image: Float[Tensor, "b n c"],
) -> Float[Tensor, "t q c"]:
    """A prompt's tokens attend to the image's; an image batch of one is shared among the prompts.

    Keys and values are never made. Queries are carried back through the key projection, whose bias
    is the same for all tokens and drops out of the softmax; the mixture goes through the value
    projection afterwards.

    Args:
        attention: Weights of the layer.
        queries: Prompt tokens with their positions.
        keys: What gives the keys, as parts to add up: image tokens with their positions.
        image: Image tokens without positions, which give the values.
    """
    heads = attention.num_attention_heads
    projected = attention.q_proj(queries).unflatten(-1, (heads, -1)) * attention.scaling
    back = torch.einsum(
        "tqhe,hec->tqhc", projected, attention.k_proj.weight.unflatten(0, (heads, -1))
    )
    logits = [_product(back.flatten(1, 2), part.transpose(1, 2)) for part in keys]
    weights = reduce(torch.add, logits).softmax(dim=-1)
    mixed = _product(weights, image).unflatten(1, (-1, heads))
    values = torch.einsum(
        "tqhc,hec->tqhe", mixed, attention.v_proj.weight.unflatten(0, (heads, -1))
    ).flatten(2)
    out: Tensor = attention.out_proj(values + attention.v_proj.bias)
    return out


def attend_to_prompt(
    attention: SamAttention,
    placed: Float[Tensor, "b n c"],
    keys: Float[Tensor, "t k c"],
    values: Float[Tensor, "t k c"],
    image: Float[Tensor, "b n c"],
) -> Float[Tensor, "t n c"]:
    """The image's tokens attend to a prompt's; an image batch of one is shared among the prompts.

    Args:
        attention: Weights of the layer.
        placed: Image tokens with their positions, which give the queries.
        keys: Prompt tokens with their positions.
        values: Prompt tokens without positions.
        image: Image tokens without positions, to which the result is added.

    Returns:
        The sum.
    """
    heads, n_keys = attention.num_attention_heads, keys.shape[1]
    projected = attention.k_proj(keys).unflatten(-1, (heads, -1)) * attention.scaling
    q_weight, q_bias = (
        part.unflatten(0, (heads, -1)) for part in (attention.q_proj.weight, attention.q_proj.bias)
    )
    back = torch.einsum("tkhe,hec->thkc", projected, q_weight)
    offset = torch.einsum("tkhe,he->thk", projected, q_bias)
    logits = _product(back.flatten(1, 2), placed.transpose(1, 2)) + offset.flatten(1)[..., None]
    weights = logits.unflatten(1, (heads, n_keys)).softmax(dim=2).flatten(1, 2)
    heads_values = attention.v_proj(values).unflatten(-1, (heads, -1))
    ahead = torch.einsum(
        "tkhe,che->thkc", heads_values, attention.out_proj.weight.unflatten(1, (heads, -1))
    )
    # A head's weights sum to 1, so one head can carry the bias of the output projection.
    ahead[:, 0] += attention.out_proj.bias
    # One call with the sum: a tensor of this size between two calls would leave the cache.
    out: Tensor = torch.baddbmm(
        image.expand(len(keys), -1, -1), weights.transpose(1, 2), ahead.flatten(1, 2)
    )
    return out


def _product(left: Float[Tensor, "t m k"], right: Float[Tensor, "b k n"]) -> Float[Tensor, "t m n"]:
    """Matrix products; one matrix on the right makes a single large product."""
    return left @ (right[0] if len(right) == 1 else right)


def _tokens(planes: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 n c"]:
    return planes.flatten(2).transpose(1, 2)


def _upscaled(
    decoder: SamMaskDecoder,
    tokens: Float[Tensor, "t n c"],
    weights: Float[Tensor, "t e"],
    size: tuple[int, int],
) -> Float[Tensor, "t hh ww"]:
    """Two upscalings by 2 and the product with the mask's weights, channels last throughout."""
    norm = decoder.upscale_layer_norm
    coarse = _upscale(decoder.upscale_conv1, tokens)
    coarse = F.layer_norm(coarse, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    fine = decoder.activation(_upscale(decoder.upscale_conv2, decoder.activation(coarse)))
    values = _weighted(fine.flatten(2), weights)
    t, (height, width) = len(tokens), size
    # Axes: row, column, half row, half column, quarter row, quarter column. Rows go together, and
    # columns go together. The last axis moves as one number, which is several times faster.
    pairs = values.view(PAIR[values.dtype]).reshape(t, height, width, 2, 2, 2)
    moved = pairs.permute(0, 1, 3, 5, 2, 4).reshape(t, 4 * height, 2 * width)
    planes: Tensor = moved.view(values.dtype)
    return planes


def _weighted(
    fine: Float[Tensor, "t n m"], weights: Float[Tensor, "t e"]
) -> Float[Tensor, "t n m/e"]:
    """Products of each token's 16 pixels, of e channels each, with the mask's weights.

    A matrix that holds the weights 16 times on its diagonal makes one matrix product of them, which
    is faster than 16 products with a vector.
    """
    pixels = torch.eye(PER_TOKEN**2, dtype=weights.dtype, device=weights.device)
    diagonal = torch.einsum("pq,te->tpeq", pixels, weights).flatten(1, 2)
    return fine @ diagonal


def _upscale(conv: nn.ConvTranspose2d, x: Float[Tensor, "t n *m c"]) -> Tensor:
    """Transposed convolution of kernel and stride 2, channels last: [..., c] to [..., 4, e]."""
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 e, c]
    bias = cast(Tensor, conv.bias).repeat(4)
    out: Tensor = F.linear(x, weight, bias).unflatten(-1, (4, -1))
    return out
